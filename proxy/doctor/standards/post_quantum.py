"""FIPS 203, 204 and 205: ML-KEM, ML-DSA and SLH-DSA. Pure."""

from collections.abc import Iterator
from typing import Final

from proxy.doctor.standards.assessment import Assessment, Clause
from proxy.doctor.standards.facts import RUNNING, StandardFacts

_MLKEM: Final = ("mlkem512", "mlkem768", "mlkem1024")
_LEAST: Final = "mlkem512"
_MLDSA: Final = ("mldsa-44", "mldsa-65", "mldsa-87")


def fips_203(facts: StandardFacts) -> Iterator[Assessment]:
    where = facts.where_listeners()
    sets = Clause(
        "section 8, Table 2", "A post-quantum key exchange uses ML-KEM-512, ML-KEM-768 or ML-KEM-1024.", where
    )
    default = Clause("section 8", "ML-KEM-768 is the recommended parameter set; none that is used is weaker.", where)
    listeners = facts.listeners()
    if not listeners:
        return
    foreign = []
    without = []
    least = []
    for one in listeners:
        safe = [group.name for group in one.all_groups if group.is_quantum_safe]
        foreign += [f"{one.name} offers {name}" for name in safe if not _has_mlkem(name)]
        without += [] if any(map(_has_mlkem, safe)) else [f"{one.name} offers no ML-KEM"]
        least += [f"{one.name} offers {name}" for name in safe if _LEAST in name.lower()]
    names = ", ".join(one.name for one in listeners)
    yield sets.judged([*foreign, *without], f"all listeners: {names}", 'Set pq = "prefer", and groups of ML-KEM alone.')
    yield default.judged(least, f"ML-KEM-768 or stronger on all listeners: {names}", "Remove MLKEM512 from groups.")
    yield from _observed(facts)


def _has_mlkem(group: str) -> bool:
    return any(one in group.lower() for one in _MLKEM)


def _observed(facts: StandardFacts) -> Iterator[Assessment]:
    clause = Clause("section 8, as observed", "Handshakes really use ML-KEM.", RUNNING)
    if facts.status is None:
        return
    handshakes = facts.status["handshakes"]
    established = handshakes["established"]
    used = sum(count for group, count in handshakes["by_group"].items() if _has_mlkem(group))
    if not established:
        return
    if used == established:
        yield clause.met(f"all {established} handshakes since the start")
    else:
        yield clause.not_met(
            f"{used} of {established} handshakes since the start ({used / established:.1%})",
            "plexigate doctor readiness names the clients without it.",
        )


def fips_204(facts: StandardFacts) -> Iterator[Assessment]:
    """Signatures with ML-DSA."""
    clause = Clause("section 4, Table 1", "A key of ML-DSA has the parameter set 44, 65 or 87.", RUNNING)
    certificates = facts.certificates()
    if certificates is None:
        return
    found = [one for one in certificates if one.algorithm.startswith("mldsa")]
    if not found:
        yield clause.not_used("no identity has a certificate with ML-DSA")
    else:
        foreign = [str(one) for one in found if one.algorithm not in _MLDSA]
        yield clause.judged(foreign, ", ".join(map(str, found)), "Issue the certificate with a set of FIPS 204.")


def fips_205(_facts: StandardFacts) -> Iterator[Assessment]:
    """Signatures with SLH-DSA."""
    yield Clause(
        "section 11, Table 2", "A key of SLH-DSA has one of the approved parameter sets.", "the program"
    ).not_used("the proxy uses no SLH-DSA: none of its keys can have it, and no handshake offers it")
