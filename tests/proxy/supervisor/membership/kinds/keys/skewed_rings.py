"""Rings of three nodes whose clocks differ: the short form is a test, the long form part of `./dev soak fleet`."""

import random
from itertools import count

from proxy.payload.keys.keyring import Keyring, RingPolicy
from proxy.payload.messages.codec import ANY_AGE, RingCodec
from proxy.supervisor.membership.kinds.keys.ring_plan import RingPlan

NOW = 1_800_000_000.0
HOUR = 3_600.0
POLICY = RingPolicy(24 * HOUR, 1_000, 2)
SKEW = 300.0


def secret(number: int) -> bytes:
    return number.to_bytes(2) * 16


def fresh(number: int = 1, now: float = NOW) -> Keyring:
    return Keyring.fresh("chat", secret(number), now, "v")


PLAN = RingPlan.begun(fresh(), 1)
NEXT = PLAN.extended(NOW + 1, POLICY, secret(2))


def open_all(pairs: int) -> int:
    """Seal so many messages at one node each, and open them at another one; by how many keys they were sealed.

    The leader writes late, by hand too, and a node hears up to five minutes later.
    """
    chance = random.Random(7)  # noqa: S311 - a schedule
    numbers = count(2)
    policy = RingPolicy(HOUR, 1_000, 1)
    plan, now = PLAN, NOW
    skews = [-SKEW, chance.uniform(-SKEW, SKEW), SKEW]
    rings = [fresh(), fresh(60), fresh(61)]
    codecs: list[tuple[Keyring, RingCodec] | None] = [None, None, None]
    written = [(now, plan)]
    delays = [290.0, chance.uniform(0, 290), 0.0]
    sealed_by = set[int]()
    for number in range(pairs):
        now += chance.uniform(0, 2 * HOUR * 60 / pairs)
        before = plan
        if plan.needs_key(now):
            plan = plan.extended(now, policy, secret(next(numbers)))
            if chance.random() < 0.5:
                plan = plan.rotated(now)  # by a key of which nobody has heard
        elif chance.random() < 60 / pairs:
            plan = plan.rotated(now)
        if plan is not before:
            written.append((now, plan))
        for node, skew in enumerate(skews):
            heard = next(one for at, one in reversed(written) if at <= now - delays[node] or at == NOW)
            ring = heard.ring(rings[node], policy, now + skew)
            known = codecs[node]
            if known is None or known[0] != ring:
                rings[node] = ring
                codecs[node] = (ring, RingCodec(ring))
        one, other = codecs[number % 3], codecs[chance.randrange(3)]
        assert one is not None
        assert other is not None
        sealed_by.add(one[0].active.version)
        assert other[1].open(one[1].seal(b"%d" % number, now), ANY_AGE, now).plain == b"%d" % number
    assert len(sealed_by) > 48, "of some sixty rotations"
    return len(sealed_by)
