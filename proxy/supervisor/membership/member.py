"""A node in its fleet: it takes what the fleet shares, and leads while no other node does.

Theory of operation. The node reads everything in the store, then watches for changes; after each
failure it begins again. What it takes is on its disk before it is used, so that it can start and
serve by that alone. Two things run side by side:

- It serves by the plan of ticket secrets that it has, by its own clock. This never waits for the
  store.
- It tries to lead. The leader extends the plan. The first leader in an empty store founds the
  fleet, with the secret that it already has; its key is on the disk before the store has something
  that only this key opens.

Nothing is taken that is older than what was taken before: neither a store that was restored from a
backup, nor someone who can write into it, brings an old secret back.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Final, Protocol

from certs.sealing.files import SealedFileUnusable
from proxy.net.in_thread import in_thread
from proxy.observe.alert import span
from proxy.observe.events.event import Tell
from proxy.observe.events.secrets import FleetAway, FleetBack, FleetJoined, FleetLed
from proxy.supervisor.membership.joining import Invitation, NotJoined, welcomed
from proxy.supervisor.membership.places import MEMBERS, TICKETS, WELCOMES, MemberRow
from proxy.supervisor.membership.shared import LEASE_SECONDS, Conflict, Leadership, Shared, SharedAway, Stored
from proxy.supervisor.membership.state import NodeFile, NodeState, NoNodeState
from proxy.supervisor.membership.ticket_plan import TicketPlan
from proxy.supervisor.membership.values import FleetKey, ValueUnusable
from proxy.tls.openssl.tickets import SECRET_BYTES, TicketSecrets

_KEEP_SECONDS: Final = LEASE_SECONDS / 3
_RETRY_SECONDS: Final = 1.0
"""After a failure of the store, or of the disk."""
_REFUSED_SECONDS: Final = 30.0
"""After workers have not taken new secrets."""
_MOST_SKEW_SECONDS: Final = 60.0
_LONGEST_SECONDS: Final = 60.0
"""The time until a clock that was set is noticed."""


class Tickets(Protocol):
    """The rotation of ticket secrets in this process."""

    @property
    def period_seconds(self) -> float:
        """How long a secret seals, by the configuration."""

    @property
    def present(self) -> tuple[bytes, float]:
        """The secret that seals now, and since when, in UNIX seconds."""

    async def follow(self, tickets: TicketSecrets, since: float) -> bool:
        """Serve by these from now on, and rotate no more by itself; whether that succeeded."""


class NotAMember(Exception):
    """This node has no key of the fleet."""

    def __str__(self) -> str:
        return (
            "this node has not joined its fleet: run plexigate fleet invite on a member, and plexigate fleet join here"
        )


class Member:
    """The membership of this node. It runs for as long as the parent does."""

    def __init__(
        self,
        name: str,
        shared: Shared,
        file: NodeFile,
        tickets: Tickets,
        tell: Tell,
        clock: Callable[[], float],
    ) -> None:
        """It takes part by `run`. `clock` gives UNIX seconds."""
        self.name: Final = name
        self.shared: Final = shared
        self._file = file
        self._tickets = tickets
        self._tell = tell
        self.clock: Final = clock
        self._state: NodeState | None = None
        self.entries: Mapping[str, Stored] = {}
        """Everything in the store, as far as this node has heard."""
        self._leadership: Leadership | None = None
        self.invitation: Invitation | None = None
        """By which this node has asked to join."""
        self._settling = asyncio.Lock()
        """Held while something is taken or planned: a plan goes on from the one in the store."""
        self._planned = asyncio.Event()
        self._news = asyncio.Event()
        self.revision = 0
        self.fault: str | None = None
        """Why the store, or something in it, cannot be used."""

    @property
    def state(self) -> NodeState:
        """What is on the disk. Raises `NotAMember` before that was read."""
        if self._state is None:
            raise NotAMember
        return self._state

    @property
    def has_begun(self) -> bool:
        """Whether the state of this node was read from its disk."""
        return self._state is not None

    @property
    def is_leading(self) -> bool:
        """While the store does not answer, no node knows."""
        return self._leadership is not None and self.fault is None

    @property
    def key(self) -> FleetKey:
        """The key of the fleet. Raises `NotAMember`, also at the start."""
        if self.state.key is None:
            raise NotAMember
        return self.state.key

    async def run(self) -> None:
        try:
            await self._begin()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_plan())
                group.create_task(self._stay_connected())
        finally:
            if self._leadership is not None:
                await self._leadership.give_up()
            await self.shared.close()

    async def _begin(self) -> None:
        """Read the state of this node, until that succeeds."""
        while self._state is None:
            try:
                self._state = await in_thread(asyncio.get_running_loop(), self._file.read)
            except (SealedFileUnusable, NoNodeState, OSError) as error:
                self._fail(str(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _keep(self, state: NodeState) -> None:
        """Raises `SealedFileUnusable` and `OSError`."""
        await in_thread(asyncio.get_running_loop(), lambda: self._file.write(state))
        self._state = state

    async def accept_restore(self) -> None:
        """Take from a store again that has lost changes. Raises as `_keep`, and `NotAMember`."""
        _ = self.key
        async with self._settling:
            await self._keep(replace(self.state, revision=1))

    # -- what it serves by

    async def _follow_plan(self) -> None:
        served: TicketSecrets | None = None
        while True:
            wait = _LONGEST_SECONDS
            plan = self.state.plan
            if plan is not None:
                now = self.clock()
                wanted, since = plan.at(now)
                wait = min(wait, plan.until_change(now))
                if wanted == served or await self._tickets.follow(wanted, since):
                    served = wanted
                else:
                    wait = min(wait, _REFUSED_SECONDS)
            await _happened(self._planned, wait)

    # -- the store

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._connected()
            except* (SharedAway, SealedFileUnusable, OSError) as errors:
                self._fail(str(_first(errors)))
            await asyncio.sleep(_RETRY_SECONDS)

    async def _connected(self) -> None:
        """Raises `SharedAway`, `SealedFileUnusable` and `OSError`."""
        snapshot = await self.shared.read()
        if snapshot.revision < self.state.revision:
            raise SharedAway(
                f"the store is at revision {snapshot.revision}, and was at {self.state.revision}: it has lost changes; "
                "if it was restored from a backup, run plexigate fleet accept-restore"
            )
        self._require_clock(snapshot.now)
        await self._take(snapshot.entries, snapshot.revision)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(snapshot.revision + 1))
            group.create_task(self._try_to_lead())

    async def _watch(self, revision: int) -> None:
        async with aclosing(self.shared.watch(revision)) as news:
            async for changes in news:
                written = {one.name: one.stored for one in changes}
                both = {**self.entries, **written}
                entries = {name: stored for name, stored in both.items() if stored is not None}
                await self._take(entries, changes[-1].revision)

    def _require_clock(self, now: float) -> None:
        """Raises `SharedAway` if this node would change over at other times than others."""
        skew = self.clock() - now
        if abs(skew) > _MOST_SKEW_SECONDS:
            ahead = "ahead of" if skew > 0 else "behind"
            raise SharedAway(
                f"the clock of this node is {span(abs(skew))} {ahead} that of the store: check NTP on both"
            )

    async def _take(self, entries: Mapping[str, Stored], revision: int) -> None:
        """Use what is in the store. Raises `SealedFileUnusable` and `OSError`."""
        try:
            async with self._settling:
                self.entries = entries
                self.revision = revision
                await self._take_key()
                await self._take_plan()
        except (ValueUnusable, NotJoined) as error:
            self._fail(str(error))
        else:
            if self.fault is not None:
                self.fault = None
                self._tell(FleetBack())
        self._news.set()

    async def _take_key(self) -> None:
        """Take the key that a member hands to this node. Raises `NotJoined`."""
        welcome = self.entries.get(WELCOMES + self.name)
        if self.state.key is None and self.invitation is not None and welcome is not None:
            key = welcomed(welcome.value, self.invitation, self.name, self.state.private)
            await self._keep(replace(self.state, key=key, revision=welcome.revision))
            self._tell(FleetJoined(self.name, key.epoch))

    async def _take_plan(self) -> None:
        """Take a newer plan. Raises `ValueUnusable` for any other one."""
        stored = self.entries.get(TICKETS)
        if self.state.key is None or stored is None:
            return
        is_founding = self.state.revision == 0
        try:
            plan = plan_of(self.state.key, stored)
        except ValueUnusable:
            if not is_founding:
                raise
            # another node has founded the fleet meanwhile
            await self._keep(NodeState(self.state.private))
            return
        known = self.state.plan
        if known is not None and plan != known and plan.until <= known.until:
            raise ValueUnusable(TICKETS, "is older than what this node has taken before")
        if plan != known or is_founding:
            await self._keep(replace(self.state, plan=plan, revision=stored.revision))
            self._planned.set()

    def _fail(self, reason: str) -> None:
        if self.fault is None:
            self._tell(FleetAway(reason))
        self.fault = reason

    # -- the lead

    @property
    def _may_lead(self) -> bool:
        """Who has no key could do nothing for the fleet, unless there is none yet."""
        return self.state.key is not None or TICKETS not in self.entries

    async def _try_to_lead(self) -> None:
        while True:
            if self._leadership is None and self._may_lead:
                self._leadership = await self.shared.lead(self.name)
                if self._leadership is not None:
                    self._tell(FleetLed(self.name))
            if self._leadership is not None:
                await self._lead(self._leadership)
                continue
            await _happened(self._news, LEASE_SECONDS)
            if not self._may_lead:
                _ = await self.shared.read()  # whether the store still answers

    async def _lead(self, leadership: Leadership) -> None:
        """Lead until another node may. After a failure of the store the lease may still hold."""
        while self._may_lead and await leadership.keep():
            with suppress(Conflict):  # told by the watch, or no longer leading
                async with self._settling:
                    await self._extend_plan(leadership.token)
            await _happened(self._news, _KEEP_SECONDS)
        self._leadership = None
        await leadership.give_up()

    async def _extend_plan(self, token: int) -> None:
        """Raises `Conflict`, `SharedAway`, `SealedFileUnusable` and `OSError`."""
        if not self._may_lead:  # another node has founded the fleet a moment ago
            return
        stored = self.entries.get(TICKETS)
        known = self.state.plan or TicketPlan.begun(*self._tickets.present)
        plan = known.extended(self.clock(), self._tickets.period_seconds, lambda: secrets.token_bytes(SECRET_BYTES))
        if self.state.key is not None and plan is known and stored is not None and _is(self.key, stored, plan):
            return
        self._require_clock((await self.shared.read()).now)
        if self.state.key is None:
            await self._keep(replace(self.state, key=FleetKey.fresh(1), plan=plan))
        writes = {TICKETS: self.key.seal(TICKETS, self.name, plan.as_json())}
        if stored is None:
            place = MEMBERS + self.name
            row = MemberRow(public=self.state.private.public.pem().decode(), since=self.clock(), by="")
            writes[place] = self.key.seal(place, self.name, row)
        await self.shared.commit({TICKETS: 0 if stored is None else stored.revision}, writes, token)


def plan_of(key: FleetKey, stored: Stored) -> TicketPlan:
    """The plan in the store. Raises `ValueUnusable`."""
    content = key.open(TICKETS, stored.value)
    try:
        return TicketPlan.from_json(content)
    except (ValueError, KeyError, TypeError):
        raise ValueUnusable(TICKETS, "holds no plan of tickets") from None


def _is(key: FleetKey, stored: Stored, plan: TicketPlan) -> bool:
    """Whether the store has this plan: one that was restored, or was changed by others, has not."""
    try:
        return plan_of(key, stored) == plan
    except ValueUnusable:
        return False


async def _happened(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, or the time is over; then clear it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
