"""The OpenSSL that the proxy runs with: version, providers, groups, signature algorithms."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from config.schema import OpensslConfig
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.machine.openssl_facts import OpensslFacts, OpensslSilent, facts_of
from proxy.payload.keys import liboqs

_OPENSSL: Final = Judge("openssl")
_LIBOQS: Final = Judge("liboqs")
_OQS: Final = "oqsprovider"
_FIPS: Final = "fips"
_LIBOQS_REMEDY: Final = (
    "pip install 'plexigate[liboqs]', build liboqs, and set OQS_INSTALL_PATH to where it is, for the doctor too: see "
    "docs/tls.md. Or choose another suite."
)
_HYBRID: Final = "X25519MLKEM768"
_MLDSA: Final = ("mldsa44", "mldsa65", "mldsa87")
_SYSTEM: Final = (
    "Run Plexigate with a Python that uses the system's OpenSSL 3.5 or newer: /usr/bin/python3 of Debian 13."
)


def openssl_findings(facts: OpensslFacts, wanted: OpensslConfig, *, kernel_wants_fips: bool) -> Iterator[Finding]:
    """Judge what is really there, for a configuration that wants these providers."""
    library = f"OpenSSL {facts.version}, {facts.libssl}"
    if facts.has_group_tuples:
        yield _OPENSSL.ok("version", library)
    else:
        yield _OPENSSL.failure("version", f"{library}: it is older than 3.5 and has no ML-KEM", _SYSTEM)
    for name in facts.missing_providers:
        place = wanted.module_path or facts.modules
        remedy = f"Install {name}.so in {place}, or set openssl.module_path to where it is."
        if name == _FIPS:  # its module is not enough: it needs what openssl fipsinstall writes
            remedy = (
                "Install openssl-provider-fips, and run openssl fipsinstall: plexigate check says which is missing."
            )
        yield _OPENSSL.failure(f"provider {name}", "it is configured, and OpenSSL cannot load it", remedy)
    yield _OPENSSL.ok("providers", ", ".join(facts.providers))
    yield from _group_findings(facts)
    yield from _scheme_findings(facts)
    yield _oqs(facts, wanted)
    yield from _fips(facts, kernel_wants_fips=kernel_wants_fips)


def _group_findings(facts: OpensslFacts) -> Iterator[Finding]:
    found = f"{len(facts.groups)} groups, post-quantum: {', '.join(facts.post_quantum) or 'none'}"
    if _HYBRID in facts.groups:
        yield _OPENSSL.ok("groups", found)
    else:
        yield _OPENSSL.failure("groups", f"{found}; {_HYBRID}, which browsers use, is missing", _SYSTEM)
    if facts.unusable_groups:
        found = f"{', '.join(facts.unusable_groups)}: a provider lists them, and no ClientHello can be made with them"
        yield _OPENSSL.skipped("further groups", found)


def _scheme_findings(facts: OpensslFacts) -> Iterator[Finding]:
    missing = [name for name in _MLDSA if name not in facts.schemes]
    if missing:
        remedy = f"Identities with ML-DSA cannot be used. {_SYSTEM}"
        yield _OPENSSL.warning("signature algorithms", f"without {', '.join(missing)}", remedy)
    else:
        yield _OPENSSL.ok("signature algorithms", ", ".join(facts.schemes))


def _oqs(facts: OpensslFacts, wanted: OpensslConfig) -> Finding:
    if _OQS in facts.providers:
        return _OPENSSL.ok("oqs-provider", "loaded")
    if _OQS in wanted.providers:
        return _OPENSSL.skipped("oqs-provider", "absent, although it is configured (see its provider above)")
    is_there = (Path(facts.modules) / f"{_OQS}.so").exists()
    there = "installed, and not configured" if is_there else "absent"
    return _OPENSSL.skipped("oqs-provider", f"{there}: OpenSSL has ML-KEM and ML-DSA of its own")


def _fips(facts: OpensslFacts, *, kernel_wants_fips: bool) -> Iterator[Finding]:
    if _FIPS in facts.providers:
        yield _OPENSSL.ok("FIPS", "the FIPS provider is loaded (plexigate doctor standards says what uses it)")
    elif kernel_wants_fips:
        remedy = 'Set [openssl] providers = ["fips"] and install openssl-provider-fips, or leave the mode.'
        yield _OPENSSL.warning("FIPS", "the system is in FIPS mode, and the FIPS provider is not configured", remedy)
    else:
        yield _OPENSSL.skipped("FIPS", "not asked for")


def _openssl(examined: Examined) -> Iterator[Finding]:
    wanted = OpensslConfig() if examined.configured is None else examined.configured.config.openssl
    try:
        facts = facts_of(examined.file)
    except OpensslSilent as error:
        yield _OPENSSL.failure("OpenSSL", str(error), f"Try without [openssl] providers. {_SYSTEM}")
        return
    yield from openssl_findings(facts, wanted, kernel_wants_fips=_kernel_wants_fips(Path("/proc")))


def _kernel_wants_fips(proc: Path) -> bool:
    try:
        return (proc / "sys/crypto/fips_enabled").read_text().strip() == "1"
    except OSError:
        return False


def _liboqs(examined: Examined) -> Iterator[Finding]:
    """Say whether liboqs can be used here, and by what. A broken one matters where it is needed."""
    sessions = None if examined.configured is None else examined.configured.config.payload.sessions
    wanted = ", ".join(one.value for one in (() if sessions is None else sessions.suites) if one.value in liboqs.SUITES)
    try:
        fault = liboqs.version_fault()
        library, package = liboqs.versions()
    except liboqs.LiboqsUnusable as error:
        if wanted:
            yield _LIBOQS.failure("liboqs", f"{error.reason}; payload.sessions wants {wanted}", _LIBOQS_REMEDY)
        else:
            yield _LIBOQS.skipped("liboqs", f"{error.reason}; no suite of payload.sessions needs it")
        return
    if fault is not None:
        yield _LIBOQS.warning("liboqs", fault, "Install the same release of both, 0.16 or newer.")
    else:
        yield _LIBOQS.ok("liboqs", f"liboqs {library}, liboqs-python {package}")


OPENSSL: Final = (
    Checkup("openssl", Area.MACHINE, _openssl, seconds=20.0),
    Checkup("liboqs", Area.MACHINE, _liboqs),
)
