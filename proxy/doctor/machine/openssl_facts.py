"""What the OpenSSL of this Python can do, found out in a process of its own.

A configured provider is foreign code. To load it here could disturb the other checks, or end this
process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.loading.loader import survey
from proxy.processes.messages.codec import decode, encode
from proxy.tls.openssl import capabilities, libssl
from proxy.tls.openssl.context import build_alert_context
from proxy.tls.tokens.openssl_setup import prepare_openssl
from proxy.tls.wire.signature_schemes import SIGNATURE_SCHEMES

_SECONDS: Final = 15.0
_OWN: Final = "default"


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """A provider that is loaded: what it says of itself, and the groups that it computes."""

    name: str
    version: str
    build: str
    """As `OQS Provider v.0.12.0 (1a2b3c) based on liboqs v.0.16.0`."""
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpensslFacts:
    """What is really there. `groups` are the names of OpenSSL, `schemes` those of IANA."""

    version: str
    libssl: str
    modules: str
    providers: tuple[str, ...]
    missing_providers: tuple[str, ...]
    groups: tuple[str, ...]
    post_quantum: tuple[str, ...]
    unusable_groups: tuple[str, ...]
    schemes: tuple[str, ...]
    has_group_tuples: bool
    modules_loaded: tuple[ProviderFacts, ...] = ()


class OpensslSilent(Exception):
    """The process that looked gave no answer; the text says why, in a clause."""


def facts_of(file: Path | None) -> OpensslFacts:
    """Look with a configuration's providers, or without further ones. Raises `OpensslSilent`."""
    command = [sys.executable, "-P", "-m", "proxy.doctor.machine.openssl_facts", *([] if file is None else [str(file)])]
    environment = {name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise OpensslSilent(f"OpenSSL with these providers did not answer within {_SECONDS:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise OpensslSilent(lines[-1] if lines else f"its process ended with status {done.returncode}")
    return decode(OpensslFacts, json.loads(done.stdout))


def look(file: Path | None) -> OpensslFacts:
    """Look in this process. Raises `libssl.InterpreterUnsuitable`."""
    loaded = None if file is None else survey(file).loaded
    # tokens are looked at elsewhere, once
    found = capabilities.survey(()) if loaded is None else prepare_openssl(loaded, with_tokens=False)
    groups = {group.name: group for group in found.groups.values()}
    return OpensslFacts(
        version=found.version,
        libssl=found.libssl,
        modules=str(libssl.modules_directory()),
        providers=found.providers,
        missing_providers=found.missing_providers,
        groups=tuple(sorted(groups)),
        post_quantum=tuple(sorted(name for name, group in groups.items() if group.is_quantum_safe)),
        unusable_groups=found.unusable_groups,
        schemes=tuple(name for name in SIGNATURE_SCHEMES if _is_accepted(name)),
        has_group_tuples=found.has_group_tuples,
        modules_loaded=tuple(_loaded(found.providers, sorted(groups))),
    )


def _loaded(providers: Sequence[str], groups: Sequence[str]) -> Iterator[ProviderFacts]:
    computing = {name: libssl.provider_of(name) for name in groups}
    for name in providers:
        version, build = libssl.provider_versions(name)
        # OpenSSL itself computes its curves by algorithms of other names
        of_it = tuple(group for group, by in computing.items() if by == name or (by is None and name == _OWN))
        yield ProviderFacts(name, version, build, of_it)


def _is_accepted(scheme: str) -> bool:
    try:
        libssl.set_signature_algorithms(build_alert_context(), scheme)
    except libssl.LibsslError:
        return False
    return True


def _main() -> None:
    try:
        found = look(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    except libssl.InterpreterUnsuitable as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(encode(found)))


if __name__ == "__main__":
    _main()
