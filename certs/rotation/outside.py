"""What rotations need that no configuration can hold: files about CAs, and programs. Looked at before they are needed.

What is missing would be found out in the middle of a renewal, weeks after the start: an order at the CA was spent then for nothing.
While every certificate is there it keeps nobody from serving, so it is a warning then, and no restart fails by it.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from certs.acme.dns_hook import ENVIRONMENT
from certs.files.errors import CredentialError
from certs.identities.chain_file import read_chain
from config.issuers import AcmeIssuerConfig
from config.loaded import LoadedConfig
from config.problems import Location, Problem, Severity, shown

_LARGEST_KEY: Final = 65_536  # bytes: far above any key in base64url


def outside_problems(loaded: LoadedConfig, *, is_all_issued: bool) -> Iterator[Problem]:
    """What is not there, or is something else; warnings where every certificate `is_all_issued`."""
    severity = Severity.WARNING if is_all_issued else Severity.ERROR
    yield from (replace(one, severity=severity) for one in _problems(loaded))


def _problems(loaded: LoadedConfig) -> Iterator[Problem]:
    yield from _program_problems(loaded, ("rotation", "alert_command"), loaded.config.rotation.alert_command, None)
    for name, issuer in loaded.config.issuer.items():
        if isinstance(issuer, AcmeIssuerConfig):
            place = ("issuer", name)
            yield from _program_problems(loaded, (*place, "hook"), issuer.hook, ENVIRONMENT["PATH"])
            for key, file in (("ca_file", issuer.ca_file), ("root_file", issuer.root_file)):
                if file is not None:
                    yield from _certificate_problems(loaded, (*place, key), file)
            if issuer.eab_key_file is not None:
                yield from _key_problems(loaded, (*place, "eab_key_file"), issuer.eab_key_file)


def _program_problems(
    loaded: LoadedConfig, place: Location, command: Sequence[str], search: str | None
) -> Iterator[Problem]:
    # None: by the PATH of this process, as it is run
    if command and ("\0" in command[0] or shutil.which(command[0], path=search) is None):
        found = f"{shown(command[0])}, which is no program that this user may run"
        yield loaded.file.error((*place, 0), found, "the path of a program, or the name of one that PATH leads to")


def _certificate_problems(loaded: LoadedConfig, place: Location, file: str) -> Iterator[Problem]:
    try:
        read_chain(loaded.file.resolve(file))
    except CredentialError as error:
        yield loaded.file.error(place, f"{shown(file)}, {error.found}", "a PEM file with certificates to trust")


def _key_problems(loaded: LoadedConfig, place: Location, file: str) -> Iterator[Problem]:
    allowed = "a file with the key that the CA gave out, in base64url"
    try:
        with loaded.file.resolve(file).open("rb") as content:
            key = content.read(_LARGEST_KEY).strip()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        yield loaded.file.error(place, f"{shown(file)}, which cannot be read ({reason})", allowed)
        return
    if not key or not key.replace(b"-", b"").replace(b"_", b"").rstrip(b"=").isalnum():
        yield loaded.file.error(
            place, f"{shown(file)}, which holds {'nothing' if not key else 'something else'}", allowed
        )
