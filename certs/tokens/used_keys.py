"""The keys of tokens that a configuration uses: named ones, keys that rotations made, and that of
`keys.sealed`.

Commands ask it about a file, the parent about the configuration that it serves.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from certs.hsm.facts import KeyFacts, TokenFacts
from config.loading.loaded import ConfigFile
from config.tables.sealing import SealingConfig
from config.values.pkcs11_uri import Pkcs11Uri, is_pkcs11_uri


@dataclass(frozen=True, slots=True)
class UsedKey:
    """A key that is used; `where` is the path of the value in the file, or of the file that
    reports it. None means any."""

    where: str
    token: str | None
    serial: str | None
    label: str | None
    id: bytes | None

    def is_about(self, token: TokenFacts, key: KeyFacts) -> bool:
        return self.may_be(Pkcs11Uri(token.label, token.serial, object=key.label, id=key.id))

    def may_be(self, key: Pkcs11Uri) -> bool:
        """Whether a key that a URI names is this one, as far as both say it."""
        pairs = ((self.token, key.token), (self.serial, key.serial), (self.label, key.object), (self.id, key.id))
        return all(None in pair or pair[0] == pair[1] for pair in pairs)


def used_keys(
    file: ConfigFile, state: str | None, sealing: SealingConfig, document: Mapping[str, Any]
) -> tuple[UsedKey, ...]:
    """All of them; `state` is the state directory, `document` the whole file, also where something
    in it is refused. Reads the state: it may hang as a disk does.
    """
    return (*_named(document, ""), *_issued(file, state), *_sealing(file, sealing))


def _named(value: Any, where: str) -> Iterator[UsedKey]:
    match value:
        case str() if is_pkcs11_uri(value):
            yield _used(value, where)
        case dict():
            for key, inner in value.items():
                yield from _named(inner, f"{where}.{key}" if where else key)
        case list():
            for index, inner in enumerate(value):
                yield from _named(inner, f"{where}[{index}]")
        case _:
            return


def _used(uri: str, where: str) -> UsedKey:
    """The four attributes of RFC 7512 2.3 that identify a key.

    Other attributes of the URI do not change which one.
    """
    path = uri.partition(":")[2].partition("?")[0]
    parts = dict(part.partition("=")[::2] for part in path.split(";"))
    text = {name: unquote(value) for name, value in parts.items()}
    key_id = unquote_to_bytes(parts["id"]) if "id" in parts else None
    return UsedKey(where, text.get("token"), text.get("serial"), text.get("object"), key_id)


def _issued(file: ConfigFile, state: str | None) -> Iterator[UsedKey]:
    if state is not None:
        for where, label, key_id in issued_keys(file.resolve(state)):
            yield UsedKey(where, None, None, label, key_id)


def _sealing(file: ConfigFile, sealing: SealingConfig) -> Iterator[UsedKey]:
    """What opens the keys below the sealing key, perhaps another version than the one that is
    named, or several; envelopes name our own by its id.
    """
    if sealing.key is None:
        return
    from certs.hierarchy.configured import directory_of  # here: most commands need no cryptography for their start
    from certs.hierarchy.file_sealer import sealing_key_ids
    from certs.hierarchy.vault import FILE_NAME
    from certs.sealing.errors import NotSealed

    path = directory_of(file, sealing) / FILE_NAME
    with suppress(OSError, NotSealed):  # as of issued keys
        for key_id in sealing_key_ids(path.read_bytes()):
            yield UsedKey(str(path), None, None, None, key_id)


def issued_keys(state: Path) -> Iterator[tuple[str, str, bytes]]:
    """Of each one that is kept in a state directory: where that is said, its label and its id.

    What cannot be read is passed over: an operator may have no right to it, and then no right to
    the token's PIN either.
    """
    for path in sorted((*state.glob("credentials/*/*/v*/key"), *state.glob("issuers/*/*/v*/key"))):
        try:
            document: Any = json.loads(path.read_bytes())
            yield str(path), str(document["label"]), bytes.fromhex(document["id"])
        except (KeyError, OSError, TypeError, ValueError):
            continue  # a key in a file, or no key at all
