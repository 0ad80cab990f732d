"""NIST SP 800-52 Revision 2: TLS of servers. Pure."""

from collections.abc import Iterator
from typing import Final

from proxy.doctor.standards.assessment import Assessment, Clause
from proxy.doctor.standards.facts import FIPS, RUNNING, StandardFacts
from proxy.figures.totals import how_many

_PROGRAM: Final = "the program"
_APPROVED_SUITES: Final = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"})
# Groups of NIST curves and of FFDHE, and those that add ML-KEM to any curve (SP 800-56C).
_APPROVED_GROUPS: Final = ("secp256r1", "secp384r1", "secp521r1", "ffdhe", "mlkem")
_APPROVED_KEYS: Final = ("rsa-", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521")
_LEAST_RSA: Final = 2_048
_FIPS_REMEDY: Final = (
    "apt-get install openssl-provider-fips, run openssl fipsinstall, set [openssl] providers ="
    ' ["fips"]: docs/tls.md, section on the FIPS provider.'
)


def sp_800_52(facts: StandardFacts) -> Iterator[Assessment]:
    """Assess section 3: the requirements for servers."""
    yield Clause("section 3.1", "A server supports TLS 1.3, and none of SSL, TLS 1.0 and TLS 1.1.", _PROGRAM).met(
        "TLS 1.3 is the only version"
    )
    yield from _certificates(facts)
    yield from _suites(facts)
    yield from _groups(facts)
    yield from _module(facts)
    yield Clause("section 3.6", "Early data (0-RTT) is not accepted without protection against replay.", _PROGRAM).met(
        "early data is refused"
    )
    yield Clause("section 3.7", "TLS does not compress.", _PROGRAM).met("TLS 1.3 has no compression")
    yield from _clients(facts)


def _certificates(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause(
        "section 3.2",
        "Server certificates have keys of RSA with 2048 bits or more, or of ECDSA on a NIST curve.",
        RUNNING,
    )
    certificates = facts.certificates()
    if certificates is None:
        return
    foreign = [str(one) for one in certificates if not _is_approved_key(one.algorithm)]
    well = how_many(len(certificates), "certificate")
    yield clause.judged(
        foreign, well, "The guideline is older than ML-DSA (FIPS 204): keep a classical certificate beside it."
    )


def _is_approved_key(algorithm: str) -> bool:
    if algorithm.startswith("rsa-"):
        return int(algorithm.removeprefix("rsa-")) >= _LEAST_RSA
    return algorithm.startswith(_APPROVED_KEYS)


def _suites(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause("section 3.3", "Only approved cipher suites are offered: those of AES.", "listener.NAME.level")
    found = {one.name: one.suites for one in facts.listeners() if one.suites is not None}
    if not found:
        return
    faults = [
        f"{name} offers {', '.join(foreign)}"
        for name, suites in found.items()
        if (foreign := [one for one in suites if one not in _APPROVED_SUITES])
    ]
    remedy = f'Set level = "quantum-safe", or use the FIPS provider, which has no ChaCha20. {_FIPS_REMEDY}'
    yield clause.judged(faults, f"all listeners: {', '.join(found)}", remedy)


def _groups(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause(
        "section 3.4", "Key exchange uses NIST curves or the approved finite fields.", facts.where_listeners()
    )
    listeners = facts.listeners()
    if not listeners:
        return
    faults = [
        f"{one.name} offers {', '.join(foreign)}"
        for one in listeners
        if (foreign := [group.name for group in one.all_groups if not _is_approved_group(group.name)])
    ]
    remedy = 'Set level = "high", or groups without them.'
    yield clause.judged(faults, f"all listeners: {', '.join(one.name for one in listeners)}", remedy)


def _is_approved_group(name: str) -> bool:
    return any(one in name.lower() for one in _APPROVED_GROUPS)


def _module(facts: StandardFacts) -> Iterator[Assessment]:
    """Whether the build of a FIPS provider that is there is validated, only NIST's list tells."""
    clause = Clause("section 3.3", "A module validated by FIPS 140 does the cryptography.", "openssl.providers")
    if facts.openssl is None or FIPS in facts.openssl.providers:
        return
    if FIPS in facts.openssl.missing_providers:
        yield clause.not_met("the FIPS provider is configured, and OpenSSL cannot load it", _FIPS_REMEDY)
    else:
        yield clause.not_met("the FIPS provider is absent from the configuration", _FIPS_REMEDY)


def _clients(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause(
        "section 3.5", "Where clients show certificates, their paths and revocation are checked.", "identity.NAME"
    )
    if facts.config is None:
        return
    asking = {name: one.client_certificates for name, one in facts.config.identity.items() if one.client_certificates}
    if not asking:
        yield clause.not_used("no identity asks for client certificates")
        return
    unchecked = [name for name, one in asking.items() if not one.checks_revocation]
    faults = [f"{name} has no crl: revoked certificates are taken" for name in unchecked]
    yield clause.judged(faults, f"path and revocation: {', '.join(asking)}", "Set client_certificates.crl or crl_url.")
