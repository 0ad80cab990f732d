"""Key exchange groups: their names, their code points, and which ones withstand a quantum computer.

Code points are IANA's "TLS Supported Groups". Names are OpenSSL's, which takes them in any case. A
group that OpenSSL lacks comes from a provider, and `classify` sorts it by its name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class GroupKind(StrEnum):
    """What a group's secrecy rests on."""

    HYBRID = "hybrid"
    """A post-quantum and a classical exchange together: safe while either of them is."""
    POST_QUANTUM = "post_quantum"
    """A post-quantum exchange alone."""
    CLASSICAL = "classical"
    """A problem that a large quantum computer could solve later, for what is recorded today."""


@dataclass(frozen=True, slots=True)
class NamedGroup:
    """A key exchange group of TLS 1.3."""

    name: str
    code_point: int
    kind: GroupKind

    @property
    def is_quantum_safe(self) -> bool:
        """Whether it protects what is recorded today, alone or in a hybrid."""
        return self.kind is not GroupKind.CLASSICAL

    def __str__(self) -> str:
        return self.name


_HYBRID = GroupKind.HYBRID
_POST_QUANTUM = GroupKind.POST_QUANTUM
_CLASSICAL = GroupKind.CLASSICAL
_GROUPS: Final = (
    NamedGroup("X25519MLKEM768", 0x11EC, _HYBRID),
    NamedGroup("SecP256r1MLKEM768", 0x11EB, _HYBRID),
    NamedGroup("SecP384r1MLKEM1024", 0x11ED, _HYBRID),
    NamedGroup("MLKEM512", 0x0200, _POST_QUANTUM),
    NamedGroup("MLKEM768", 0x0201, _POST_QUANTUM),
    NamedGroup("MLKEM1024", 0x0202, _POST_QUANTUM),
    NamedGroup("X25519", 0x001D, _CLASSICAL),
    NamedGroup("X448", 0x001E, _CLASSICAL),
    NamedGroup("secp256r1", 0x0017, _CLASSICAL),
    NamedGroup("secp384r1", 0x0018, _CLASSICAL),
    NamedGroup("secp521r1", 0x0019, _CLASSICAL),
    NamedGroup("brainpoolP256r1tls13", 0x001F, _CLASSICAL),
    NamedGroup("brainpoolP384r1tls13", 0x0020, _CLASSICAL),
    NamedGroup("brainpoolP512r1tls13", 0x0021, _CLASSICAL),
    NamedGroup("ffdhe2048", 0x0100, _CLASSICAL),
    NamedGroup("ffdhe3072", 0x0101, _CLASSICAL),
    NamedGroup("ffdhe4096", 0x0102, _CLASSICAL),
    NamedGroup("ffdhe6144", 0x0103, _CLASSICAL),
    NamedGroup("ffdhe8192", 0x0104, _CLASSICAL),
)
_ALIASES: Final = {"p-256": "secp256r1", "prime256v1": "secp256r1", "p-384": "secp384r1", "p-521": "secp521r1"}
# Hybrids that clients list and OpenSSL does not have: curveSM2MLKEM768, and the Kyber drafts of
# X25519 and secp256r1.
_FOREIGN_HYBRIDS: Final = frozenset({0x11EE, 0x6399, 0x639A})

_BY_NAME: Final = {group.name.lower(): group for group in _GROUPS}
KNOWN: Final[Mapping[str, NamedGroup]] = MappingProxyType(
    _BY_NAME | {alias: _BY_NAME[name] for alias, name in _ALIASES.items()}
)
"""The groups of OpenSSL 3.5 under every name it takes for them, in lower case."""

# Families that a provider such as oqs-provider brings. SIKE is missing since it is broken, on
# classical computers too.
_POST_QUANTUM_FAMILY: Final = re.compile(r"mlkem|kyber|frodo|hqc|bike|mceliece|ntru", re.IGNORECASE)
_CURVE: Final = re.compile(r"x25519|x448|p256|p384|p521|bp\d|brainpool|curve", re.IGNORECASE)


def classify(name: str, code_point: int) -> NamedGroup:
    """Sort a provider's group by its name.

    `x25519_frodo640aes` is a hybrid, `hqc1` is post-quantum alone. A name that tells nothing counts
    as classical, so that an unknown group never counts as protection.
    """
    if not _POST_QUANTUM_FAMILY.search(name):
        kind = GroupKind.CLASSICAL
    elif _CURVE.search(name):
        kind = GroupKind.HYBRID
    else:
        kind = GroupKind.POST_QUANTUM
    return NamedGroup(name, code_point, kind)


def group_named(name: str) -> NamedGroup:
    """A group by its name. The code point of a group that only a provider has is not known: -1."""
    return KNOWN.get(name.lower()) or classify(name, -1)


def tuples_in(openssl_list: str) -> tuple[tuple[NamedGroup, ...], ...]:
    """The groups in a list as `GroupPreference.openssl_list` writes it."""
    return tuple(tuple(map(group_named, one.split(":"))) for one in openssl_list.replace(" ", "").split("/"))


def groups_in(openssl_list: str) -> list[str]:
    """The names in a list as `GroupPreference.openssl_list` writes it."""
    return openssl_list.replace("/", " ").replace(":", " ").split()


def are_foreign(names: Sequence[str]) -> bool:
    """Whether OpenSSL has none of these groups without a provider. Only workers load providers, so
    no other process can make a handshake with such a listener.
    """
    return bool(names) and not any(name.lower() in KNOWN for name in names)


@dataclass(frozen=True, slots=True)
class GroupPreference:
    """Groups that a server accepts, in tuples, the most preferred tuple first.

    A client that lists a group of an earlier tuple gets it, by HelloRetryRequest if it sent no
    share for it. Within a tuple a share that was sent wins: a group that is not much better is not
    worth a round trip.
    """

    tuples: tuple[tuple[NamedGroup, ...], ...]
    known: frozenset[NamedGroup] = field(default=frozenset(_GROUPS), repr=False, compare=False)
    """Every group of this OpenSSL with its providers, whether or not it is accepted here."""
    slow: Mapping[int, float] = field(default_factory=dict, compare=False)
    """Those whose key exchange takes too long for an event loop: seconds by code point."""
    without_slow: "GroupPreference | None" = field(init=False, repr=False, compare=False)
    """The same without them; None if nothing is left."""
    names: Mapping[int, str] = field(init=False, repr=False, compare=False)
    """Code point -> name, of every group that is known."""
    quantum_safe_anywhere: frozenset[int] = field(init=False, repr=False, compare=False)
    """Code points by which a client shows that it can do post-quantum key exchange.

    Some of them may not be accepted here.
    """
    by_code_point: Mapping[int, NamedGroup] = field(init=False, repr=False, compare=False)
    quantum_safe_code_points: frozenset[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_code_point = {group.code_point: group for one_tuple in self.tuples for group in one_tuple}
        safe = frozenset(group.code_point for group in by_code_point.values() if group.is_quantum_safe)
        known = {*_GROUPS, *self.known}
        anywhere = _FOREIGN_HYBRIDS | {group.code_point for group in known if group.is_quantum_safe}
        fast = tuple(tuple(group for group in one if group.code_point not in self.slow) for one in self.tuples)
        left = tuple(one_tuple for one_tuple in fast if one_tuple)
        without_slow = self if not self.slow else GroupPreference(left, self.known) if left else None
        object.__setattr__(self, "without_slow", without_slow)
        object.__setattr__(self, "names", MappingProxyType({group.code_point: group.name for group in known}))
        object.__setattr__(self, "quantum_safe_anywhere", anywhere)
        object.__setattr__(self, "by_code_point", MappingProxyType(by_code_point))
        object.__setattr__(self, "quantum_safe_code_points", safe)

    def openssl_list(self) -> str:
        """Write the list in OpenSSL's syntax: `A:B / C:D`."""
        return " / ".join(":".join(group.name for group in one_tuple) for one_tuple in self.tuples)
