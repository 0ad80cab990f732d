"""Which key exchange groups and cipher suites a listener offers, which clients it refuses, and how
a handshake ended.

OpenSSL chooses the group of a connection, from the list that `group_preference` makes. Pure: a
level, a policy and what the client offered go in, a decision comes out.

    PolicyError                 the configuration contradicts itself or this OpenSSL
    ├── UnknownGroupError       a group that no loaded provider has
    ├── RepeatedGroupError      a group is listed twice, perhaps under two names
    ├── WeakerThanLevelError    a group that a level of quantum-safe groups does not allow
    ├── OffAtStrictLevelError   post-quantum groups off at a level of nothing else
    └── NothingLeftError        the policy leaves no group of the list
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from config.schema import PqPolicy, SecurityLevel
from proxy.tls.wire.client_hello import ClientHello
from proxy.tls.wire.groups import GroupKind, GroupPreference, NamedGroup

_HYBRIDS: Final = ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024")
# CNSA 2.0 allows ML-KEM-1024 alone, P-384 being tolerated beside it.
_CNSA: Final = ("SecP384r1MLKEM1024", "MLKEM1024")
_GROUPS_OF_LEVEL: Final = {
    SecurityLevel.STANDARD: (_HYBRIDS, ("X25519", "secp256r1", "secp384r1")),
    SecurityLevel.HIGH: (_HYBRIDS, ("secp384r1",)),
    SecurityLevel.CRITICAL: (_HYBRIDS,),
    SecurityLevel.QUANTUM_SAFE: (_CNSA,),
}
_KINDS_OF_POLICY: Final = {
    PqPolicy.OFF: frozenset({GroupKind.CLASSICAL}),
    PqPolicy.PREFER: frozenset(GroupKind),
    PqPolicy.REPORT: frozenset(GroupKind),
    PqPolicy.REQUIRE: frozenset({GroupKind.HYBRID, GroupKind.POST_QUANTUM}),
}
_AES_256 = "TLS_AES_256_GCM_SHA384"
_CHACHA20 = "TLS_CHACHA20_POLY1305_SHA256"
_AES_128 = "TLS_AES_128_GCM_SHA256"
_SUITES_OF_LEVEL: Final = {
    SecurityLevel.STANDARD: (_AES_256, _CHACHA20, _AES_128),
    SecurityLevel.HIGH: (_AES_256, _CHACHA20),
    SecurityLevel.CRITICAL: (_AES_256, _CHACHA20),
    SecurityLevel.QUANTUM_SAFE: (_AES_256,),
}


class PolicyError(Exception):
    """The groups that a listener asks for cannot be offered."""


class UnknownGroupError(PolicyError):
    """`name` is a group that this OpenSSL does not have with the loaded providers; `suggestion` is
    a near match, if any.
    """

    def __init__(self, name: str, available: tuple[str, ...], suggestion: str | None) -> None:
        super().__init__(name, available, suggestion)
        self.name = name
        self.available = available
        self.suggestion = suggestion

    def __str__(self) -> str:
        """One sentence, then what to write instead."""
        hint = "" if self.suggestion is None else f" (did you mean {self.suggestion}?)"
        return f"there is no key exchange group {self.name!r}{hint}; available are {', '.join(self.available)}"


class RepeatedGroupError(PolicyError):
    """`name` is listed twice, perhaps once under another of its names."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"the key exchange group {self.name} is listed twice"


class WeakerThanLevelError(PolicyError):
    """`name` is a group that breaks what `level` promises: a classical one, or one that is not in
    `allowed` where that is not empty.
    """

    def __init__(self, name: str, level: SecurityLevel, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(name, level, allowed)
        self.name = name
        self.level = level
        self.allowed = allowed

    def __str__(self) -> str:
        if self.allowed:
            return f"level {self.level} allows {' and '.join(self.allowed)} only, not {self.name}: remove it, or choose another level"
        return f"level {self.level} allows no classical group such as {self.name}: remove it, or choose the level high or standard"


class OffAtStrictLevelError(PolicyError):
    """`pq = "off"` stands beside a `level` that consists of quantum-safe groups."""

    def __init__(self, level: SecurityLevel) -> None:
        super().__init__(level)
        self.level = level

    def __str__(self) -> str:
        return f"pq = off leaves no group at level {self.level}: remove pq, or choose the level high or standard"


class NothingLeftError(PolicyError):
    """The policy `pq` allows none of the listed groups, `names`."""

    def __init__(self, pq: PqPolicy, names: tuple[str, ...]) -> None:
        super().__init__(pq, names)
        self.pq = pq
        self.names = names

    def __str__(self) -> str:
        return f"pq = {self.pq} allows none of the listed groups: {', '.join(self.names) or 'the list is empty'}"


class HandshakeOutcome(StrEnum):
    """How a key exchange ended, and why; the values are stable, for logs and metrics."""

    HYBRID = "hybrid"
    """A quantum-safe group, hybrid or pure, at the first attempt."""
    HYBRID_AFTER_RETRY = "hybrid_after_retry"
    """A quantum-safe group for which the client had sent no share: it cost a HelloRetryRequest."""
    CLIENT_CANNOT = "client_cannot"
    """A classical group; the client listed no quantum-safe one."""
    NOT_REQUIRED = "not_required"
    """A classical group; the quantum-safe ones of the client are not ours, or ours are off."""
    WOULD_REFUSE = "would_refuse"
    """A classical group under `PqPolicy.REPORT`, which `PqPolicy.REQUIRE` would refuse."""
    REFUSED = "refused"
    """The client was turned away: it listed none of our groups, or the policy requires a
    quantum-safe one and it listed none.
    """


@dataclass(frozen=True, slots=True)
class SlowExchange:
    """The key exchange that a client would get.

    `seconds` is what it takes. `is_avoidable`: the client can have another group.
    """

    seconds: float
    is_avoidable: bool


def effective_pq(level: SecurityLevel, pq: PqPolicy) -> PqPolicy:
    """The policy; a quantum-safe level implies `REQUIRE`. Raises `OffAtStrictLevelError`."""
    if not level.requires_pq:
        return pq
    if pq is PqPolicy.OFF:
        raise OffAtStrictLevelError(level)
    return PqPolicy.REQUIRE


def group_preference(
    level: SecurityLevel,
    pq: PqPolicy,
    groups_override: tuple[str, ...] | tuple[tuple[str, ...], ...] | None,
    known: Mapping[str, NamedGroup],
) -> GroupPreference:
    """Settle which groups a listener accepts: those of its level, or its own, that the policy
    allows.

    `groups_override` is the listener's own list. It has names: then the quantum-safe ones become
    the first tuple and the rest the second. Or it has tuples of names, which are kept. `known` are
    the groups of this OpenSSL under each of their names in lower case. Raises a `PolicyError`.
    """
    tuples = _resolved(_GROUPS_OF_LEVEL[level] if groups_override is None else groups_override, known)
    effective = effective_pq(level, pq)
    listed = [group for one_tuple in tuples for group in one_tuple]
    for position, group in enumerate(listed):
        if group in listed[:position]:
            raise RepeatedGroupError(group.name)
        if level is SecurityLevel.QUANTUM_SAFE and group.name not in _CNSA:
            raise WeakerThanLevelError(group.name, level, _CNSA)
        if level.requires_pq and not group.is_quantum_safe:
            raise WeakerThanLevelError(group.name, level)
    filtered = (
        tuple(group for group in one_tuple if group.kind in _KINDS_OF_POLICY[effective]) for one_tuple in tuples
    )
    allowed = tuple(one_tuple for one_tuple in filtered if one_tuple)
    if not allowed:
        raise NothingLeftError(effective, tuple(group.name for group in listed))
    return GroupPreference(allowed, frozenset(known.values()))


def _resolved(
    names: tuple[str, ...] | tuple[tuple[str, ...], ...], known: Mapping[str, NamedGroup]
) -> tuple[tuple[NamedGroup, ...], ...]:
    flat = [_known_group(entry, known) for entry in names if isinstance(entry, str)]
    if not flat:
        return tuple(tuple(_known_group(name, known) for name in entry) for entry in names)
    return (
        tuple(group for group in flat if group.is_quantum_safe),
        tuple(group for group in flat if not group.is_quantum_safe),
    )


def _known_group(name: str, known: Mapping[str, NamedGroup]) -> NamedGroup:
    group = known.get(name.lower())
    if group is None:
        near = get_close_matches(name.lower(), known, n=1)
        available = tuple(dict.fromkeys(group.name for group in known.values()))
        raise UnknownGroupError(name, available, known[near[0]].name if near else None)
    return group


def cipher_suites(level: SecurityLevel) -> str:
    """Write the TLS 1.3 cipher suites of a level in OpenSSL's syntax, the most preferred first."""
    return ":".join(_SUITES_OF_LEVEL[level])


def refuses(pq: PqPolicy, preference: GroupPreference, hello: ClientHello) -> bool:
    """Whether a client must be turned away: the effective policy requires a group that it does not
    list.

    A hello that resumes a session is asked the same: its key exchange is a new one.
    """
    return pq is PqPolicy.REQUIRE and preference.quantum_safe_code_points.isdisjoint(hello.supported_groups)


def has_no_common_group(preference: GroupPreference, hello: ClientHello) -> bool:
    """Whether the groups that a client lists allow no key exchange.

    False for a client that lists none: OpenSSL has the better alert for it.
    """
    known = preference.by_code_point
    for group in hello.supported_groups:  # the first one nearly always; `isdisjoint` costs four times as much
        if group in known:
            return False
    return len(hello.supported_groups) > 0


def predicts_retry(preference: GroupPreference, hello: ClientHello) -> bool:
    """Whether OpenSSL will answer with a HelloRetryRequest.

    It does if the client lists a group of the best tuple and sends no share of it. This prediction
    only saves work: OpenSSL decides, and what it does then counts.
    """
    for one_tuple in preference.tuples:
        listed = [group.code_point for group in one_tuple if group.code_point in hello.supported_groups]
        if listed:
            return set(listed).isdisjoint(hello.key_shares)
    return False


def predicted_group(preference: GroupPreference, hello: ClientHello) -> NamedGroup | None:
    """The group that OpenSSL will choose, also by a HelloRetryRequest; None if there is none.

    It takes the first tuple with a group that the client lists. There it takes the first group that
    the client sent a share of, else the first one that it lists.
    """
    for one_tuple in preference.tuples:
        listed = [group for group in one_tuple if group.code_point in hello.supported_groups]
        for group in listed:
            if group.code_point in hello.key_shares:
                return group
        if listed:
            return listed[0]
    return None


def breaks_under_require(preference: GroupPreference, hello: ClientHello) -> bool:
    """Whether `PqPolicy.REQUIRE` would turn a client away.

    If none of our quantum-safe groups is on, any group of that kind counts.
    """
    return (preference.quantum_safe_code_points or preference.quantum_safe_anywhere).isdisjoint(hello.supported_groups)


def outcome(
    pq: PqPolicy, preference: GroupPreference, hello: ClientHello, selected_group: int | None, *, retried: bool
) -> HandshakeOutcome:
    """Say how a handshake ended under `pq`, the effective policy, and why.

    `selected_group` is what the ServerHello says, None for a handshake that `refuses` stopped or
    that has no key exchange; `retried` tells that a HelloRetryRequest came before it.
    """
    ours = preference.quantum_safe_code_points
    if selected_group in ours:
        return HandshakeOutcome.HYBRID_AFTER_RETRY if retried else HandshakeOutcome.HYBRID
    if pq is PqPolicy.REQUIRE:
        return HandshakeOutcome.REFUSED
    if pq is PqPolicy.REPORT and ours.isdisjoint(hello.supported_groups):
        return HandshakeOutcome.WOULD_REFUSE
    can = not preference.quantum_safe_anywhere.isdisjoint(hello.supported_groups)
    return HandshakeOutcome.NOT_REQUIRED if can else HandshakeOutcome.CLIENT_CANNOT
