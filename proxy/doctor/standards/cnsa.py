"""NSA's Commercial National Security Algorithm Suite 2.0, by its advisory of 2022 and its questions
and answers of December 2024. Pure.

It binds owners of US National Security Systems. For web servers and cloud services it asks to
support and prefer its algorithms by 2025, and to use them exclusively by 2033; new acquisitions
have to comply from 1 January 2027 on.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final

from proxy.doctor.standards.assessment import Assessment, Clause
from proxy.doctor.standards.facts import RUNNING, StandardFacts

_PREFER: Final = "web servers and cloud services: support and prefer by 2025"
_EXCLUSIVE: Final = "web servers and cloud services: exclusively by 2033"
_ALGORITHMS: Final = "table of algorithms"
_BEGIN_OF_2033: Final = date(2033, 1, 1)
_MLKEM: Final = "mlkem1024"
_MLDSA: Final = "mldsa-87"
_AES_256: Final = "TLS_AES_256_GCM_SHA384"
_LEVEL: Final = 'Set level = "quantum-safe".'


def cnsa_2(facts: StandardFacts) -> Iterator[Assessment]:
    """Assess key establishment, signatures, encryption and hashes."""
    yield from _key_establishment(facts)
    yield from _signatures(facts)
    yield from _chains(facts)
    yield from _suites(facts)


def _key_establishment(facts: StandardFacts) -> Iterator[Assessment]:
    where = facts.where_listeners()
    listeners = facts.listeners()
    prefers = Clause(_PREFER, "ML-KEM-1024 is offered, and preferred to all other key exchanges.", where)
    alone = Clause(_EXCLUSIVE, "ML-KEM-1024 is the only key exchange.", where)
    if not listeners:
        return
    names = ", ".join(one.name for one in listeners)
    unpreferred = []
    others = []
    for one in listeners:
        first = [group.name for group in one.groups[0]]
        if not all(_MLKEM in name.lower() for name in first):
            unpreferred.append(f"{one.name} prefers {':'.join(first)}")
        if rest := [group.name for group in one.all_groups if _MLKEM not in group.name.lower()]:
            others.append(f"{one.name} offers {', '.join(rest)}")
    remedy = f'{_LEVEL} Or set groups = [["SecP384r1MLKEM1024", "MLKEM1024"], ["X25519MLKEM768"]].'
    yield prefers.judged(unpreferred, names, remedy)
    left = (_BEGIN_OF_2033 - datetime.fromtimestamp(facts.now, UTC).date()).days
    yield alone.judged(others, names, f"{_LEVEL} {max(left, 0)} days are left for it.")


def _signatures(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause(_PREFER, "Each identity has a certificate with ML-DSA-87.", RUNNING)
    certificates = facts.certificates()
    if certificates is None:
        return
    identities = sorted({one.identity for one in certificates})
    with_it = {one.identity for one in certificates if one.algorithm == _MLDSA}
    faults = [f"{name} has none" for name in identities if name not in with_it]
    remedy = 'Add a credential: [[identity.NAME.credential]] key = "mldsa-87@file", and prefer = "mldsa".'
    yield clause.judged(faults, ", ".join(identities), remedy)


def _chains(facts: StandardFacts) -> Iterator[Assessment]:
    """Each signature names its parameters, so the last one tells how the issuer above it signs."""
    text = "Each certificate of a chain with ML-DSA-87 is signed with ML-DSA-87, up to the root."
    clause = Clause(_ALGORITHMS, text, RUNNING)
    chains = [one for one in facts.certificates() or () if one.algorithm == _MLDSA]
    if facts.certificates() is None or not all(one.signatures for one in chains):
        return
    if not chains:
        yield clause.not_used("no certificate with ML-DSA-87 is served")
        return
    faults = [
        f"{one.identity}: signed with {', '.join(weaker)}"
        for one in chains
        if (weaker := list(dict.fromkeys(name for name in one.signatures if name != _MLDSA)))
    ]
    remedy = "Have the certificate issued by an authority that signs with ML-DSA-87, as its root does."
    yield clause.judged(faults, ", ".join(one.identity for one in chains), remedy)


def _suites(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause(_ALGORITHMS, "Encryption uses AES-256, and hashes are SHA-384 or SHA-512.", "listener.NAME.level")
    found = {one.name: one.suites for one in facts.listeners() if one.suites is not None}
    if not found:
        return
    faults = [
        f"{name} offers {', '.join(others)}"
        for name, suites in found.items()
        if (others := [one for one in suites if one != _AES_256])
    ]
    yield clause.judged(faults, f"all listeners: {', '.join(found)}", _LEVEL)
