"""Which of several servers a request goes to. Pure.

A server's `share` is its weight, or less during a slow start (`warmth`). This module does not know
why a server is among the candidates.
"""

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Protocol, TypeVar

_BITS: Final = 0xFFFFFFFFFFFFFFFF
# A slow start begins with a tenth: enough to warm caches, and to see whether the server works.
_FIRST_SHARE: Final = 0.1


class Candidate(Protocol):
    """A server that may be chosen."""

    name: str
    share: float
    """How much it gets, in proportion to the shares of the others."""
    credit: float
    """What the round robin owes the server. Only this module writes it."""

    @property
    def load(self) -> int: ...


CandidateT = TypeVar("CandidateT", bound=Candidate)


def in_turn(candidates: Sequence[CandidateT]) -> CandidateT:
    """Pick by smooth weighted round robin.

    Shares of 3 and 1 give A A B A, never A A A B. Equal shares give one server after the other.
    """
    best = candidates[0]
    total = 0.0
    for one in candidates:
        one.credit += one.share
        total += one.share
        if one.credit > best.credit:
            best = one
    best.credit -= total
    return best


def least_loaded(candidates: Sequence[CandidateT]) -> CandidateT:
    """Pick the server with the least load for its share.

    Among equals the servers take turns, so that shares count for idle servers as well.
    """
    least = math.inf
    equals: list[CandidateT] = []
    for one in candidates:
        load = one.load / one.share
        if load < least:
            least = load
            equals = [one]
        elif load == least:
            equals.append(one)
    return equals[0] if len(equals) == 1 else in_turn(equals)


class ConsistentHash:
    """Rendezvous hashing with weights: each server bids for each key, and the highest bid wins.

    A server that leaves moves only its own keys. A new one takes its share evenly from all others.
    The result is the same in each process and after each restart. It costs one short hash for a
    request and a few multiplications for a server.
    """

    def __init__(self) -> None:
        self._seeds: dict[str, int] = {}

    def pick(self, candidates: Sequence[CandidateT], key: bytes) -> CandidateT:
        digest = _hash(key)
        return max(candidates, key=lambda one: one.share * self._bid(one.name, digest))

    def _bid(self, name: str, digest: int) -> float:
        seed = self._seeds.get(name)
        if seed is None:
            seed = self._seeds[name] = _hash(name.encode())
        # the finishing steps of SplitMix64: each bit of both takes part in the bid
        mixed = (digest ^ seed) & _BITS
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _BITS
        mixed ^= mixed >> 31
        # uniform within (0, 1): 52 bits and a half are exact. A bid is -1/log of it, times the
        # weight: so the chance to win is in proportion to the weight
        return -1.0 / math.log(((mixed >> 12) + 0.5) / 4_503_599_627_370_496)


def warmth(age: float, seconds: float) -> float:
    """The part of its weight that a server gets `age` seconds into a slow start of `seconds`."""
    if age >= seconds:
        return 1.0
    return max(_FIRST_SHARE, age / seconds)


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
