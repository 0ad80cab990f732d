"""The PIN of a token: read, judged, and given to OpenSSL by the name of a file, so that it never is in a text."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final

from certs.hsm.secret import Secret
from certs.memory_file import MemoryFile
from config.hsm import TokenConfig
from config.loaded import LoadedConfig
from config.problems import Location, Problem, shown

# What OpenSSL's provider takes of a file; the rest of a longer PIN would be cut off, and a wrong one counts against the token.
LONGEST_PIN: Final = 31  # octets
_EVERYBODY_ELSE: Final = 0o077


@dataclass(frozen=True)
class Pin:
    """The user PIN of a token. It shows itself to nobody."""

    _secret: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        """What tells it from another one; as secret as the PIN, which is short enough to be guessed from it."""
        return sha256(self._secret).digest()

    @property
    def text(self) -> Secret:
        """The PIN for a login by ourselves; hidden as here."""
        return Secret(self._secret.decode())

    @cached_property
    def _file(self) -> MemoryFile:
        return MemoryFile("pin", self._secret)

    @property
    def path(self) -> Path:
        """A file with the PIN, for this process and as long as this object is there."""
        return self._file.path


@dataclass(frozen=True, slots=True)
class Pins:
    """The PINs of a configuration by the NAME of their token, without those that could not be read; and all problems."""

    by_token: Mapping[str, Pin]
    problems: tuple[Problem, ...]


def read_pins(loaded: LoadedConfig) -> Pins:
    """Read the PINs of all tokens."""
    problems: list[Problem] = []
    found: dict[str, Pin] = {}
    tokens = {} if loaded.config.hsm is None else loaded.config.hsm.token
    for name, token in tokens.items():
        place: Location = ("hsm", "token", name)
        pin = (
            _from_file(loaded, place, token, problems)
            if token.pin_file
            else _from_systemd(loaded, place, token, problems)
        )
        if pin is not None:
            found[name] = pin
    return Pins(MappingProxyType(found), tuple(problems))


def _from_file(loaded: LoadedConfig, place: Location, token: TokenConfig, problems: list[Problem]) -> Pin | None:
    written = token.pin_file or ""
    path, at = loaded.resolve(written), (*place, "pin_file")
    allowed = f"a file with the PIN of the token, mode 0600: chmod 600 {Path(written).name}"
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        problems.append(loaded.error(at, f"{shown(written)}, which cannot be read ({error.strerror})", allowed))
        return None
    if mode & _EVERYBODY_ELSE:
        # refused, not only said: whoever read it may have the key sign whatever they like, and nobody would see it
        found = f"{shown(written)}, which others may read or write (mode {stat.S_IMODE(mode):04o})"
        problems.append(loaded.error(at, found, f"{allowed}, and a new PIN if others were there"))
        return None
    return _pin(loaded, at, shown(written), content, problems)


def _from_systemd(loaded: LoadedConfig, place: Location, token: TokenConfig, problems: list[Problem]) -> Pin | None:
    written, at = token.pin_credential or "", (*place, "pin_credential")
    path = loaded.resolve_credential(written)
    allowed = f"a start by systemd, with LoadCredentialEncrypted={written} or LoadCredential={written}:PATH in the unit"
    if path is None:
        problems.append(loaded.error(at, f"{shown(written)}, while systemd hands over no credentials", allowed))
        return None
    try:
        # its mode says nothing: it has the rights of an access list in it, and systemd keeps everybody else out
        content = path.read_bytes()
    except OSError as error:
        found = f"{shown(written)}, which cannot be read among the credentials ({error.strerror})"
        problems.append(loaded.error(at, found, allowed))
        return None
    return _pin(loaded, at, shown(written), content, problems)


def _pin(loaded: LoadedConfig, at: Location, name: str, content: bytes, problems: list[Problem]) -> Pin | None:
    secret = content.removesuffix(b"\n").removesuffix(b"\r")
    if not 1 <= len(secret) <= LONGEST_PIN:
        found = f"{name}, which has {len(secret)} octets"
    elif any(octet < 0x20 for octet in secret):
        found = f"{name}, which has more than one line or a control character"
    elif not _is_text(secret):
        found = f"{name}, which has octets that are no UTF-8"
    else:
        return Pin(secret)
    problems.append(loaded.error(at, found, f"one line of 1 to {LONGEST_PIN} octets: the PIN and nothing else"))
    return None


def _is_text(secret: bytes) -> bool:
    """Whether it is UTF-8, as PKCS#11 2.40 section 5.6 has PINs. Apart: the error of `decode` has the PIN in it."""
    try:
        secret.decode()
    except UnicodeDecodeError:
        return False
    return True
