"""The PINs of a configuration, each from the source of its token; errors become problems."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from certs.hsm.access import read_handed_over_pin, read_pin
from certs.hsm.errors import PinFileUnusable
from certs.hsm.secret import Secret
from config.loading.loaded import ConfigFile
from config.tables.hsm import HsmConfig, TokenConfig
from config.values.problems import Location, Problem, shown


@dataclass(frozen=True, slots=True)
class Pins:
    """The PINs of a configuration by the NAME of their token, without those that could not be read;
    and all problems.
    """

    by_token: Mapping[str, Secret]
    problems: tuple[Problem, ...]


def read_pins(file: ConfigFile, hsm: HsmConfig | None) -> Pins:
    problems: list[Problem] = []
    found: dict[str, Secret] = {}
    for name, token in ({} if hsm is None else hsm.token).items():
        pin = read_pin_of(file, name, token)
        if isinstance(pin, Problem):
            problems.append(pin)
        else:
            found[name] = pin
    return Pins(MappingProxyType(found), tuple(problems))


def read_pin_of(file: ConfigFile, name: str, token: TokenConfig) -> Secret | Problem:
    """The PIN of `[hsm.token.NAME]`, or why there is none."""
    place: Location = ("hsm", "token", name)
    return _from_file(file, place, token.pin_file) if token.pin_file else _from_systemd(file, place, token)


def _from_file(file: ConfigFile, place: Location, written: str) -> Secret | Problem:
    try:
        return read_pin(file.resolve(written))
    except PinFileUnusable as error:
        return file.error((*place, "pin_file"), f"{shown(written)}: {error.found}", error.allowed)


def _from_systemd(file: ConfigFile, place: Location, token: TokenConfig) -> Secret | Problem:
    written = token.pin_credential or ""
    at = (*place, "pin_credential")
    path = file.resolve_credential(written)
    allowed = f"a start by systemd, with LoadCredentialEncrypted={written} or LoadCredential={written}:PATH in the unit"
    if path is None:
        return file.error(at, f"{shown(written)}, but systemd passed no credentials to this process", allowed)
    try:
        return read_handed_over_pin(path)
    except PinFileUnusable as error:
        # one that is there was handed over: its content is wrong
        return file.error(at, f"{shown(written)}: {error.found}", error.allowed if path.exists() else allowed)
