"""The tokens of a configuration, and which of their keys it uses: what the commands read of `[hsm]`."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from certs.hsm.access import TokenChoice
from certs.hsm.facts import KeyFacts, TokenFacts

_SCHEME = "pkcs11:"


class HsmNotConfigured(Exception):
    """A file has no `[hsm]` that a command could use."""

    def __init__(self, file: Path, key: str, found: str, allowed: str) -> None:
        """Name the file and the key."""
        super().__init__(file, key, found, allowed)
        self.file = file
        self.key = key
        self.found = found
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: found {self.found}; allowed: {self.allowed}"


@dataclass(frozen=True, slots=True)
class ConfiguredToken:
    """`[hsm.token.NAME]`."""

    name: str
    choice: TokenChoice
    pin_file: Path | None


@dataclass(frozen=True, slots=True)
class UsedKey:
    """A key that the configuration names; `where` is the path of the value in the file. None means any."""

    where: str
    token: str | None
    serial: str | None
    label: str | None
    id: bytes | None

    def is_about(self, token: TokenFacts, key: KeyFacts) -> bool:
        """Whether that key of that token is what it names."""
        pairs = ((self.token, token.label), (self.serial, token.serial), (self.label, key.label), (self.id, key.id))
        return all(named is None or named == there for named, there in pairs)


@dataclass(frozen=True, slots=True)
class Configured:
    """What a configuration says of tokens."""

    file: Path
    module: Path
    tokens: tuple[ConfiguredToken, ...]
    keys: tuple[UsedKey, ...]


def read_configured(file: Path) -> Configured:
    """Read it. Raises HsmNotConfigured; whether the rest of the file is right is for `plexigate check`."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise HsmNotConfigured(file, "file", (error.strerror or "an error").lower(), "a configuration") from None
    except ValueError as error:
        raise HsmNotConfigured(file, "file", str(error), "TOML; see plexigate check") from None
    hsm = document.get("hsm")
    if (
        not isinstance(hsm, dict)
        or not isinstance(hsm.get("module"), str)
        or not isinstance(hsm.get("token", {}), dict)
    ):
        allowed = "a table [hsm] with module, or --module, --token and --pin-file"
        raise HsmNotConfigured(file, "hsm", "no module", allowed)
    tokens = tuple(_token(file, name, table) for name, table in hsm.get("token", {}).items())
    module = hsm["module"]
    # a bare name is looked up by the dynamic linker, as p11-kit-proxy.so
    path = _beside(file, module) if "/" in module else Path(module)
    return Configured(file, path, tokens, tuple(_keys(document, "")))


def _token(file: Path, name: str, table: Any) -> ConfiguredToken:
    if not isinstance(table, dict):
        raise HsmNotConfigured(file, f"hsm.token.{name}", "no table", "a table with pin_file")
    label, serial, slot = (table.get(key) for key in ("label", "serial", "slot"))
    if label is None and serial is None and slot is None:
        label = name
    pin_file = table.get("pin_file")
    return ConfiguredToken(
        name,
        TokenChoice(label, serial, slot),
        _beside(file, pin_file) if isinstance(pin_file, str) else None,
    )


def _beside(file: Path, name: str) -> Path:
    return file.parent / name


def _keys(value: Any, where: str) -> Iterator[UsedKey]:
    match value:
        case str() if value.startswith(_SCHEME):
            yield _used(value, where)
        case dict():
            for key, inner in value.items():
                yield from _keys(inner, f"{where}.{key}" if where else key)
        case list():
            for index, inner in enumerate(value):
                yield from _keys(inner, f"{where}[{index}]")
        case _:
            return


def _used(uri: str, where: str) -> UsedKey:
    """The four attributes of RFC 7512 2.3 that say which key. Whatever else stands there names the same key or none."""
    path = uri.removeprefix(_SCHEME).partition("?")[0]
    parts = dict(part.partition("=")[::2] for part in path.split(";"))
    text = {name: unquote(value) for name, value in parts.items()}
    key_id = unquote_to_bytes(parts["id"]) if "id" in parts else None
    return UsedKey(where, text.get("token"), text.get("serial"), text.get("object"), key_id)
