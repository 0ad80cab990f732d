"""Checks the files and programs outside the configuration that rotations need, before they are
needed.

A missing one would be noticed in the middle of a renewal, weeks after the start, when an order at
the CA is already spent. While every certificate is issued the proxy can serve without it, so it is
a warning then, and a restart succeeds.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from certs.acme.challenges.dns_hook import ENVIRONMENT
from certs.files.errors import CredentialError
from certs.identities.chain_file import read_chain
from config.loading.loaded import ConfigFile
from config.loading.reading import read_regular
from config.tables.issuers import AcmeIssuerConfig, AnyIssuerConfig
from config.values.problems import Location, Problem, Severity, shown

_LARGEST_KEY: Final = 65_536  # bytes: far above any key in base64url


def outside_problems(
    file: ConfigFile, issuers: Mapping[str, AnyIssuerConfig], *, is_all_issued: bool
) -> Iterator[Problem]:
    """Missing or wrong files and programs; they are warnings if `is_all_issued`."""
    severity = Severity.WARNING if is_all_issued else Severity.ERROR
    yield from (replace(one, severity=severity) for one in _problems(file, issuers))


def _problems(file: ConfigFile, issuers: Mapping[str, AnyIssuerConfig]) -> Iterator[Problem]:
    for name, issuer in issuers.items():
        if isinstance(issuer, AcmeIssuerConfig):
            place = ("issuer", name)
            yield from _program_problems(file, (*place, "hook"), issuer.hook)
            for key, written in (("ca_file", issuer.ca_file), ("root_file", issuer.root_file)):
                if written is not None:
                    yield from _certificate_problems(file, (*place, key), written)
            if issuer.eab_key_file is not None:
                yield from _key_problems(file, (*place, "eab_key_file"), issuer.eab_key_file)


def _program_problems(file: ConfigFile, place: Location, command: Sequence[str]) -> Iterator[Problem]:
    if command and ("\0" in command[0] or shutil.which(command[0], path=ENVIRONMENT["PATH"]) is None):
        found = f"{shown(command[0])}, which is not a program that this user can run"
        yield file.error((*place, 0), found, "the path of a program, or the name of a program in PATH")


def _certificate_problems(file: ConfigFile, place: Location, written: str) -> Iterator[Problem]:
    try:
        read_chain(file.resolve(written))
    except CredentialError as error:
        yield file.error(place, f"{shown(written)}, {error.found}", "a PEM file with certificates to trust")


def _key_problems(file: ConfigFile, place: Location, written: str) -> Iterator[Problem]:
    allowed = "a file with the key of the external account from the CA, in base64url"
    try:
        key = read_regular(file.resolve(written), _LARGEST_KEY).content.strip()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        yield file.error(place, f"{shown(written)}, which cannot be read ({reason})", allowed)
        return
    if not key or not key.replace(b"-", b"").replace(b"_", b"").rstrip(b"=").isalnum():
        yield file.error(place, f"{shown(written)}, which {'is empty' if not key else 'is not base64url'}", allowed)
