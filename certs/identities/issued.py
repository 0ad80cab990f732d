"""Credentials that the rotation has put in place: found among the files that workers were given,
and judged.

The file of a key is the key itself, or the URI of one in a token (`KeyHome.for_workers`). Where
nothing was issued yet for what the configuration wants, what served this identity before stands in
for it: a client gets the previous certificate rather than none.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from certs.files.errors import CredentialError, Part
from certs.hsm.secret import Secret
from certs.identities.credential import TokenPlace
from certs.storage.store import paths_of, slots_among
from config.loading.loaded import ConfigFile
from config.loading.reading import read_regular
from config.schema import IdentityConfig
from config.tables.hsm import HsmConfig
from config.values.addresses import Refused
from config.values.pkcs11_uri import is_pkcs11_uri, parse


class TokenUnknown(CredentialError):
    """The key is in a token that the configuration does not name (any more)."""

    part = Part.KEY

    def __init__(self, path: Path, uri: str) -> None:
        found = f"whose key is {uri}, in a token that is not configured or has no PIN"
        super().__init__(path, found, "a token of [hsm.token.NAME], until another certificate replaces this one")


def files_of_slot(file: ConfigFile, state: str | None, identity: str, slot: str) -> tuple[Path, Path] | None:
    """Where chain and key of what serves are, below `state`; None if nothing serves."""
    if state is None:
        return None
    certificate, key = paths_of(identity, slot, file.resolve(state))
    if certificate not in file.files or key not in file.files:
        return None
    return file.files[certificate], file.files[key]


def stand_ins(
    file: ConfigFile, state: str | None, identity: str, settings: IdentityConfig
) -> Iterator[tuple[Path, Path]]:
    """Chains and keys of slots that the configuration does not want any more, as long as a kind
    that it wants has none.
    """
    wanted = {one.slot: one.key.kind for one in settings.issued}
    served = {kind for slot, kind in wanted.items() if files_of_slot(file, state, identity, slot)}
    if state is None or served.issuperset(wanted.values()):
        return
    for slot in slots_among(file.files, identity, file.resolve(state)):
        files = None if slot in wanted else files_of_slot(file, state, identity, slot)
        if files is not None:
            yield files


def token_place(hsm: HsmConfig | None, certificate: Path, key: Path, pins: Mapping[str, Secret]) -> TokenPlace | None:
    """Where in a token the key is; None for a file. Raises `TokenUnknown` or `OSError`."""
    content = read_regular(key).content
    if not is_pkcs11_uri(content):
        return None
    text = content.decode("ascii", "replace").strip()
    try:
        uri = parse(text)
    except Refused:
        raise TokenUnknown(certificate, text) from None
    tokens = () if hsm is None else hsm.tokens_of(uri)
    if hsm is None or len(tokens) != 1 or tokens[0] not in pins:
        raise TokenUnknown(certificate, text)
    return TokenPlace(hsm.full_uri(uri), tokens[0], pins[tokens[0]])
