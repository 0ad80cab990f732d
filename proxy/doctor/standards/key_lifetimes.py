"""NIST SP 800-57 Part 1 Revision 5: how long keys are used (section 5.3.6, Table 1), and how strong
they are (section 5.6). Pure.

Table 1 suggests cryptoperiods: it names an order of magnitude, and asks for shorter ones where the
risk is greater.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from config.schema import Config
from config.tables.rotation import InternalIssuerConfig
from proxy.doctor.standards.assessment import Assessment, Clause
from proxy.doctor.standards.facts import RUNNING, CertificateView, StandardFacts

_TABLE: Final = "section 5.3.6, Table 1"
_YEAR: Final = 365.25
_HOURS: Final = 24.0
_DAY: Final = 86_400.0
_FILE: Final = "the configuration"

_AUTHENTICATION_YEARS: Final = 2
_SIGNATURE_YEARS: Final = 3
_SYMMETRIC_YEARS: Final = 2
# Security strengths in bits, by section 5.6.1, Table 2.
_RSA_STRENGTHS: Final = ((15_360, 256), (7_680, 192), (3_072, 128), (2_048, 112))
_STRENGTHS: Final = {"ecdsa-p256": 128, "ecdsa-p384": 192, "ecdsa-p521": 256, "ed25519": 128, "ed448": 224}
# By their categories (FIPS 204, Table 1): as strong as SHA-256 collisions, AES-192, AES-256.
_MLDSA_STRENGTHS: Final = {"mldsa-44": 128, "mldsa-65": 192, "mldsa-87": 256}
_LEAST_STRENGTH: Final = 112
_LATER_STRENGTH: Final = 128
_LAST_DAY_OF_112: Final = date(2030, 12, 31)


def sp_800_57(facts: StandardFacts) -> Iterator[Assessment]:
    """Assess all keys that the proxy has to do with."""
    yield from _certificates(facts)
    yield from _strengths(facts)
    yield Clause(_TABLE, "A private ephemeral key-agreement key serves one transaction.", "the program").met(
        "TLS 1.3 makes a new key for each handshake, also for one that resumes a session"
    )
    config = facts.config
    if config is None:
        return
    yield _tickets(config)
    yield from _payload(config, facts)
    yield from _sealing(config, facts)
    yield from _authorities(config)


def _certificates(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause(
        _TABLE,
        "A private authentication key, such as that of a certificate for TLS, is used for 1 to 2 years.",
        RUNNING,
    )
    renewed = facts.renewed()
    limit = _AUTHENTICATION_YEARS * _YEAR
    for one in facts.certificates() or ():
        found = f"{one}: its certificate is valid for {one.days:.0f} days"
        if one.days > limit:
            yield clause.not_met(found, "Use shorter certificates, with a new key in each.")
        elif one.identity in renewed:
            yield clause.met(f"{found}, and the proxy makes a new key for the next one")
        # of a key that others made, an earlier certificate may have been the first


def _strengths(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause(
        "section 5.6.3, Table 4",
        "A key protects with 112 bits or more until 2030, with 128 or more from 2031 on.",
        RUNNING,
    )
    for one in facts.certificates() or ():
        bits = strength(one)
        if bits is None:
            continue
        if bits < _LEAST_STRENGTH or (bits < _LATER_STRENGTH and _last_day(one) > _LAST_DAY_OF_112):
            yield clause.not_met(f"{one}: {bits} bits, until {_last_day(one)}", "Issue it with a stronger key.")
        else:
            yield clause.met(f"{one}: {bits} bits, until {_last_day(one)}")


def strength(one: CertificateView) -> int | None:
    """The security strength of a key in bits. None if the tables do not have it."""
    known = _STRENGTHS | _MLDSA_STRENGTHS
    if one.algorithm in known:
        return known[one.algorithm]
    kind, _, size = one.algorithm.partition("-")
    if kind != "rsa":
        return None
    return next((bits for least, bits in _RSA_STRENGTHS if int(size) >= least), 0)


def _last_day(one: CertificateView) -> date:
    return date(1970, 1, 1) + timedelta(days=one.expires_at // _DAY)


def _tickets(config: Config) -> Assessment:
    hours = config.limits.tls_ticket_rotation_hours
    clause = Clause(
        _TABLE, "A symmetric data-encryption key encrypts for 2 years at most.", "limits.rotate_tls_ticket_key_after"
    )
    # config.limits allows a week at most
    return clause.met(f"session tickets get a new key each {hours:g} hours")


def _sealing(config: Config, facts: StandardFacts) -> Iterator[Assessment]:
    if config.sealing.key is None:
        return
    days = config.sealing.rotate_after.days
    most = _SYMMETRIC_YEARS * _YEAR
    yield Clause(
        _TABLE, "A symmetric data-encryption key encrypts for 2 years at most.", "sealing.rotate_after"
    ).judged(
        [f"the keys below the sealing key rotate each {days} days"] if days > most else [],
        f"the keys below the sealing key rotate each {days} days",
        'Set rotate_after = "90d", or another time below two years.',
    )
    sealing = None if facts.status is None else facts.status.get("sealing")  # which a proxy of before does not tell
    if sealing is not None and sealing["since"] is not None:
        age = (facts.now - sealing["since"]) / _DAY
        found = f"the sealing key has sealed for {age:.0f} days"
        yield Clause(_TABLE, "A symmetric key-wrapping key wraps for 2 years at most.", RUNNING).judged(
            [found] if age > most else [], found, "plexigate hsm rotate-sealing"
        )


def _payload(config: Config, facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause(_TABLE, "A symmetric data-encryption key encrypts for 2 years at most.", "payload.ring.NAME")
    most = _SYMMETRIC_YEARS * _YEAR * _HOURS
    remedy = 'Set rotate_after = "1d", or another time below two years.'
    for name, ring in config.payload.ring.items():
        faults = [f"ring {name} rotates each {ring.rotate_hours:g} hours"] if ring.rotate_hours > most else []
        yield clause.judged(faults, f"ring {name} rotates each {ring.rotate_hours:g} hours", remedy)
    sessions = config.payload.sessions
    if sessions is not None:
        yield Clause(
            _TABLE, "A private static key-agreement key is used for 1 to 2 years.", "payload.sessions.rotate_after"
        ).met(f"the keys that clients agree with rotate each {sessions.rotate_hours:g} hours")
    ages = {key: (facts.now - key.created) / _DAY for key in facts.payload_keys() if key.state == "active"}
    observed = Clause(_TABLE, "The same, as observed.", "GET /payload of the running proxy")
    for key, days in ages.items():
        faults = [f"key {key.version} of ring {key.ring} is {days:.0f} days old"] if days > most / _HOURS else []
        yield observed.judged(
            faults,
            f"key {key.version} of ring {key.ring} is {days:.1f} days old",
            f"plexigate payload rotate {key.ring}",
        )


def _authorities(config: Config) -> Iterator[Assessment]:
    clause = Clause(_TABLE, "A private signature key, such as that of an authority, signs for 1 to 3 years.", _FILE)
    for name, issuer in config.issuer.items():
        if not isinstance(issuer, InternalIssuerConfig):
            continue
        days = issuer.intermediate_lifetime.days
        where = f"issuer.{name}.intermediate_lifetime"
        faults = [f"intermediate of {name}: {days} days"] if days > _SIGNATURE_YEARS * _YEAR else []
        yield clause.judged(
            faults, f"intermediate of {name}: {days} days", "Set a shorter intermediate_lifetime.", where
        )
