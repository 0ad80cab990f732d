"""Shares of the limits that hold for all nodes together.

Theory of operation. Each node says what it wants of each limit, in a value that disappears after
`LASTS_SECONDS` unless the node says it again. The leader cuts the limits by that, and each node
keeps to its share of the last cut. So the leader gives away what a node had only when that node has
it no more: either it was told so, or it has counted the same seconds, from before its value was
written on, and has gone back to an even part by itself. The cut keeps that part for it.

While the leader changes a cut, one node may hear of it before another: then both together may have
more than the limit, by what was moved, for `LASTS_SECONDS` at most.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from proxy.limits.rates import UNKNOWN_SHARE, FleetLimit
from proxy.supervisor.membership.kinds.share_cut import cut
from proxy.supervisor.membership.shared_kind import NOT_WRITTEN, FleetNode

LASTS_SECONDS: Final = 15
_SECOND: Final = 1.0
_AGAIN_SECONDS: Final = 6.0
_NOTABLE: Final = 0.02
"""A part of a limit: less is not worth a change."""
_ROOM: Final = 1.25
"""More than it uses, so that a node can grow before the next cut."""
_WHOLE: Final = 1.001
"""A sum of floating point numbers that is 1."""
_CUT: Final = "shares/cut"
_WANTED: Final = "shares/of/"


class LimitShares:
    """A `SharedKind`."""

    prefix: Final = "shares/"
    is_kept: Final = False

    def __init__(
        self,
        limits: Callable[[], Sequence[FleetLimit]],
        used: Callable[[FleetLimit], int],
        keep_to: Callable[[Mapping[str, float]], Awaitable[None]],
        ticks: Callable[[], float],
    ) -> None:
        """`limits` are those of the present configuration, and `used` is what clients of this node
        use of one: open connections, or requests so far. `ticks` are seconds that never go back.
        """
        self._limits = limits
        self._used = used
        self._keep_to = keep_to
        self._ticks = ticks
        self._wanted: dict[str, Mapping[str, float]] = {}
        """What each node wants that is there, by its name and the limit."""
        self._cut: Mapping[str, Mapping[str, float]] = {}
        """By the limit and the name of the node."""
        self._members: Sequence[str] = ()
        self._until = -math.inf
        """How long this node counts on what it was given."""
        self._before: dict[str, tuple[int, float]] = {}
        self._kept_to: Mapping[str, float] = {}

    def parse(self, name: str, content: Any) -> Any:
        if name == _CUT:
            return {str(limit): _shares(content[limit]) for limit in dict(content)}
        return _parts(content)

    def take(self, changed: Mapping[str, Any]) -> None:
        for name, content in changed.items():
            if name == _CUT:
                self._cut = content or {}
            elif content is None:
                self._wanted.pop(name.removeprefix(_WANTED), None)
            else:
                self._wanted[name.removeprefix(_WANTED)] = content

    def due(self, now: float, epoch: int) -> Mapping[str, object | None]:  # noqa: ARG002 - it has no secrets
        names = {limit for wanted in self._wanted.values() for limit in wanted}
        new = {
            name: cut({node: wanted[name] for node, wanted in self._wanted.items() if name in wanted}, self._members)
            for name in names
        }
        is_same = new.keys() == self._cut.keys() and not any(_differs(new[name], self._cut[name]) for name in new)
        return {} if is_same else {_CUT: new}

    async def run(self, node: FleetNode) -> None:
        said: Mapping[str, float] = {}
        said_at = -math.inf
        while True:
            self._members = node.members
            now = self._ticks()
            limits = self._limits()
            wants = {limit.name: self._want(limit, now) for limit in limits}
            if limits and (now >= said_at + _AGAIN_SECONDS or _differs(wants, said)):
                with suppress(*NOT_WRITTEN):  # told by the membership
                    await node.write({_WANTED + node.name: wants}, lasts_seconds=LASTS_SECONDS)
                    self._until = now + LASTS_SECONDS
                    said = wants
                    said_at = now
            shares = {limit.name: self._share(limit.name, node.name) for limit in limits}
            if shares != self._kept_to:
                self._kept_to = shares
                await self._keep_to(shares)
            await asyncio.sleep(_SECOND)

    def _want(self, limit: FleetLimit, now: float) -> float:
        used = self._used(limit)
        if limit.listener is not None:
            return round(used * _ROOM / limit.most, 3)
        before, then = self._before.get(limit.name, (used, now - _SECOND))
        self._before[limit.name] = used, now
        # less than before: a process has ended
        return round(max(0, used - before) / max(now - then, _SECOND) * _ROOM / limit.most, 3)

    def _share(self, limit: str, node: str) -> float:
        given = self._cut.get(limit, {}).get(node)
        if given is not None and self._ticks() < self._until:
            return given
        if limit in self._kept_to and self._ticks() < self._until:
            return self._kept_to[limit]
        return 1.0 / len(self._members) if node in self._members else UNKNOWN_SHARE


def _parts(content: Any) -> dict[str, float]:
    if not isinstance(content, dict):
        raise TypeError
    parts = {str(name): float(part) for name, part in content.items()}
    if not all(0.0 <= one < math.inf for one in parts.values()):
        raise ValueError
    return parts


def _shares(content: Any) -> dict[str, float]:
    """Raises `ValueError` for more than the limit, and for a node that would have nothing."""
    shares = _parts(content)
    if sum(shares.values()) > _WHOLE or not all(shares.values()):
        raise ValueError
    return shares


def _differs(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return one.keys() != other.keys() or any(abs(part - other[name]) > _NOTABLE for name, part in one.items())
