"""A node in its fleet: it takes what the fleet shares, and leads while no other node does.

Theory of operation. The node reads everything in the store, then watches for changes; after each
failure it begins again. What it takes is on its disk before it is used, so that it can start and
serve by that alone. What is shared is of several kinds (`SharedKind`): each serves by what was
taken, and never waits for the store.

Beside that, it tries to lead. The leader writes what its kinds say is due. The first leader in an
empty store founds the fleet; its key is on the disk before the store has something that only this
key opens.

Nothing is taken that is older than what was taken before: neither a store that was restored from a
backup, nor someone who can write into it, brings an old secret back.
"""

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Final

from certs.sealing.files import SealedFileUnusable
from proxy.net.in_thread import in_thread
from proxy.net.waiting import happened
from proxy.observe.events.event import Tell
from proxy.observe.events.secrets import FleetAway, FleetBack, FleetJoined, FleetLed, FleetRekeyed
from proxy.supervisor.membership.epochs import Expelled, followed, next_record, place_of, records
from proxy.supervisor.membership.joining import Invitation, NotJoined, welcomed
from proxy.supervisor.membership.places import FOUNDED, MEMBERS, WELCOMES, MemberRow, nodes_of
from proxy.supervisor.membership.refusals import (
    OtherFleet,
    StoreRestored,
    ValuesRefused,
    first_of,
    require_fleet,
    require_size,
    require_skew,
)
from proxy.supervisor.membership.shared import LEADER, LEASE_SECONDS, Conflict, Leadership, Shared, SharedAway, Stored
from proxy.supervisor.membership.shared_kind import NotAMember, SharedKind
from proxy.supervisor.membership.shared_values import SharedValues, batches
from proxy.supervisor.membership.state import NodeFile, NodeState, NoNodeState, Taken
from proxy.supervisor.membership.values import FleetKey, ValueUnusable

_KEEP_SECONDS: Final = LEASE_SECONDS / 3
_RETRY_SECONDS: Final = 1.0
"""After a failure of the store, or of the disk."""
_LOOK_SECONDS: Final = 30.0
"""Between two looks at the clock of the store, and at its watch."""
_ACCEPTED: Final = 1
"""The revision of a node that is to take from a store that has lost changes."""


class Member:
    """The membership of this node. It runs for as long as the parent does."""

    def __init__(
        self,
        name: str,
        shared: Shared,
        file: NodeFile,
        kinds: Sequence[SharedKind],
        tell: Tell,
        clock: Callable[[], float],
    ) -> None:
        """It takes part by `run`. `clock` gives UNIX seconds."""
        self.name: Final = name
        self.shared: Final = shared
        self.file: Final = file
        self.values: Final = SharedValues(kinds)
        self._tell = tell
        self.clock: Final = clock
        self._state: NodeState | None = None
        self.entries: Mapping[str, Stored] = {}
        """Everything in the store, as far as this node has heard."""
        self._leadership: Leadership | None = None
        self.invitation: Invitation | None = None
        """By which this node has asked to join."""
        self._settling = asyncio.Lock()
        """Held while something is taken or written: what is due goes on from what the store has."""
        self._heard = asyncio.Event()
        self._news = asyncio.Event()
        self.revision = 0
        self._refused_at = 0  # the revision that this node knew when the store last refused a change
        self.connected: Final = asyncio.Event()
        self.skew: float | None = None
        """By how many seconds the clock of this node was ahead of that of the store."""
        self._abstains: tuple[float, int] | None = None
        """Until when, by the clock of the loop, and from which revision on."""
        self.trouble: Exception | None = None
        """Why the store, or something in it, cannot be used."""

    @property
    def state(self) -> NodeState:
        """What is on the disk. Raises `NotAMember` before that was read."""
        if self._state is None:
            raise NotAMember
        return self._state

    @property
    def fault(self) -> str | None:
        """Why the store, or something in it, cannot be used, in a sentence."""
        return None if self.trouble is None else str(self.trouble)

    @property
    def has_begun(self) -> bool:
        """Whether the state of this node was read from its disk."""
        return self._state is not None

    @property
    def _is_outside(self) -> bool:
        return isinstance(self.trouble, Expelled | OtherFleet)

    @property
    def is_leading(self) -> bool:
        """While the store does not answer, no node knows. Values that are refused stop what depends
        on them, and not the lead.
        """
        return self._leadership is not None and (self.trouble is None or isinstance(self.trouble, ValuesRefused))

    @property
    def key(self) -> FleetKey:
        """The key of the fleet. Raises `NotAMember`, also at the start."""
        if self.state.key is None:
            raise NotAMember
        return self.state.key

    @property
    def members(self) -> list[str]:
        return nodes_of(MEMBERS, self.entries)

    def wake(self) -> None:
        """Ask all kinds soon what is due, if this node leads."""
        self._news.set()

    async def run(self) -> None:
        try:
            await self._begin()
            async with asyncio.TaskGroup() as group:
                for kind in self.values.kinds:
                    group.create_task(kind.run(self))
                group.create_task(self._stay_connected())
        finally:
            if self._leadership is not None:
                await self._leadership.give_up()
            await self.shared.close()

    async def _begin(self) -> None:
        """Read the state of this node, until that succeeds."""
        while self._state is None:
            try:
                self._state = await in_thread(asyncio.get_running_loop(), self.file.read)
            except (SealedFileUnusable, NoNodeState, OSError) as error:
                self._fail(error)
                await asyncio.sleep(_RETRY_SECONDS)
        self.values.begin(self._state.values)

    async def _keep(self, state: NodeState) -> None:
        """Raises `SealedFileUnusable` and `OSError`."""
        await in_thread(asyncio.get_running_loop(), self.file.writing(state))
        self._state = state

    async def accept_restore(self) -> None:
        """Take from a store again that has lost changes. Raises as `_keep`, and `NotAMember`."""
        _ = self.key
        async with self._settling:
            await self._keep(replace(self.state, revision=_ACCEPTED))
            self.values.accept_older()
            self.revision = 0

    # -- the store

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._connected()
            except* (SharedAway, SealedFileUnusable, OSError) as errors:
                self.connected.clear()
                self._fail(first_of(errors))
            await asyncio.sleep(_RETRY_SECONDS)

    async def _connected(self) -> None:
        """Raises `SharedAway`, `SealedFileUnusable` and `OSError`."""
        snapshot = await self.shared.read()
        seen = max(self.revision, self.state.revision)
        if snapshot.revision < seen:
            raise StoreRestored(snapshot.revision, seen)
        self._require_clock(snapshot.now)
        self.entries = snapshot.entries
        self.revision = snapshot.revision
        self.connected.set()
        async with self._settling:
            await self._take()
            if self.state.key is not None and self.state.revision == _ACCEPTED and not self._is_outside:
                try:  # the leader may know less than this node
                    await self._mend(None)
                except Conflict:  # read again, then try again
                    raise SharedAway("another node has written meanwhile") from None
                await self._keep(replace(self.state, revision=self.revision))
        self.wake()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(snapshot.revision + 1))
            group.create_task(self._take_what_is_heard())
            group.create_task(self._try_to_lead())
            group.create_task(self._look())

    async def _watch(self, revision: int) -> None:
        async with aclosing(self.shared.watch(revision)) as news:
            async for changes in news:
                written = {one.name: one.stored for one in changes}
                both = {**self.entries, **written}
                self.entries = {name: stored for name, stored in both.items() if stored is not None}
                require_size(self.entries)
                self.revision = changes[-1].revision
                self._end_abstaining()
                self._heard.set()

    async def _take_what_is_heard(self) -> None:
        """Changes that come while the disk is busy are taken as one."""
        while True:
            await self._heard.wait()
            self._heard.clear()
            async with self._settling:
                await self._take()
            self.wake()

    def _require_clock(self, now: float) -> None:
        self.skew = self.clock() - now
        require_skew(self.skew)

    async def _look(self) -> None:
        while True:
            refused_at = self._refused_at
            await asyncio.sleep(_LOOK_SECONDS)
            if refused_at == self.revision:  # there was a change to hear of
                raise SharedAway("it answers, but its watch tells nothing")
            self._require_clock(await self.shared.time())

    async def _take(self) -> None:
        """Use what is in the store. Raises `SealedFileUnusable` and `OSError`."""
        try:
            await self._take_key()
            require_fleet(self.state.records, self.entries)
            try:
                await self._take_epochs()
            except ValueUnusable:  # a record that others have spoilt stops nothing else
                with suppress(ValuesRefused):
                    await self._take_values()
                raise
            await self._take_values()
        except (ValueUnusable, NotJoined, Expelled) as error:
            if self.connected.is_set():  # else that is what is wrong
                self._fail(error)
        else:
            if self.trouble is not None and self.connected.is_set():
                self.trouble = None
                self._tell(FleetBack())

    async def _take_key(self) -> None:
        """Take the key that a member hands to this node. Raises `NotJoined`."""
        welcome = self.entries.get(WELCOMES + self.name)
        if self.state.key is None and self.invitation is not None and welcome is not None:
            key = welcomed(welcome.value, self.invitation, self.name, self.state.private)
            await self._keep(replace(self.state, key=key, revision=welcome.revision))
            self._tell(FleetJoined(self.name, key.epoch))
        founded = self.entries.get(FOUNDED)
        if self.state.key is not None and self.state.revision == 0 and founded is not None:
            try:
                _ = self.key.open(FOUNDED, founded.value)
                await self._keep(replace(self.state, revision=founded.revision))
            except ValueUnusable:  # another node has founded the fleet meanwhile
                await self._keep(NodeState(self.state.private))

    async def _take_epochs(self) -> None:
        """Go through the epochs that this node has missed. Raises `ValueUnusable`, `Expelled`."""
        while self.state.key is not None and (record := next_record(self.key, self.entries)) is not None:
            with suppress(ValuesRefused):  # by the next key it may be another one
                await self._take_values(before=record.revision)
            key, row = followed(self.key, record.value, self.name, self.state.private)
            verified = {**self.state.records, place_of(key.epoch): record.value}
            revision = max(record.revision, self.state.revision)
            await self._keep(replace(self.state, key=key, records=verified, revision=revision))
            self.values.epoch_ended()
            self._tell(FleetRekeyed(key.epoch, row["expelled"], row["by"]))
        if self.state.key is not None and self.state.revision:
            # the first one counts: only an attacker writes another one
            found = {**records(self.key, self.entries), **self.state.records}
            if found != self.state.records:
                await self._keep(replace(self.state, records=found))

    async def _take_values(self, before: float = math.inf) -> None:
        """Take what is newer, of revisions before this one. After all others, raise
        `ValuesRefused` for those that are not taken.
        """
        if self.state.key is None or self.state.revision == 0:
            return
        entries = self.entries  # those that change while the disk is busy are for the next time
        opened = self.values.open(self.key, entries, self.state.values, before)
        if opened.kept:
            newest = max(opened.used[name].revision for name in opened.kept)
            values = {**self.state.values, **opened.kept}
            await self._keep(replace(self.state, values=values, revision=max(newest, self.state.revision)))
        self.values.use(opened, entries)
        if opened.refused:
            raise ValuesRefused(opened.refused)

    def _fail(self, error: Exception) -> None:
        if self.trouble is None:
            self._tell(FleetAway(str(error)))
        self.trouble = error

    # -- the lead

    @property
    def _may_lead(self) -> bool:
        """Who has no key could do nothing for the fleet, unless there is none yet."""
        abstains = self._abstains is not None and asyncio.get_running_loop().time() < self._abstains[0]
        return not abstains and not self._is_outside and (self.state.key is not None or FOUNDED not in self.entries)

    def abstain(self, seconds: float) -> None:
        self._abstains = asyncio.get_running_loop().time() + seconds, self.revision
        self.wake()

    def _end_abstaining(self) -> None:
        """When another node has taken the lead: if that one fails, this one is needed."""
        leader = self.entries.get(LEADER)
        if self._abstains is None or leader is None or leader.value == self.name.encode():
            return
        if leader.revision > self._abstains[1]:
            self._abstains = None

    async def _try_to_lead(self) -> None:
        while True:
            if self._leadership is None and self._may_lead and LEADER not in self.entries:
                self._leadership = await self.shared.lead(self.name)
                if self._leadership is not None:
                    self._tell(FleetLed(self.name))
            if self._leadership is not None:
                await self._lead(self._leadership)
                continue
            is_news = await happened(self._news, LEASE_SECONDS)
            self._news.clear()
            if not is_news:
                _ = await self.shared.time()  # whether the store still answers

    async def _lead(self, leadership: Leadership) -> None:
        """Lead until another node may. After a failure of the store the lease may still hold."""
        kept = -math.inf
        while self._may_lead:
            now = asyncio.get_running_loop().time()
            leader = self.entries.get(LEADER)
            if now >= kept + _KEEP_SECONDS or leader is None or leader.revision != leadership.token:
                if not await leadership.keep():
                    self._leadership = None
                    return
                kept = now
            with suppress(Conflict):  # told by the watch, or no longer leading
                async with self._settling:
                    await self._write_what_is_due(leadership.token)
            await happened(self._news, _KEEP_SECONDS)
            self._news.clear()
        self._leadership = None
        await leadership.give_up()

    async def _write_what_is_due(self, token: int) -> None:
        """Raises `Conflict`, `SharedAway`, `SealedFileUnusable` and `OSError`."""
        await self._take()
        if not self._may_lead:  # another node has founded the fleet a moment ago
            return
        if FOUNDED not in self.entries and not self.state.records:
            await self._found(token)
            return
        spoilt = self.values.spoilt(self.entries)
        now = self.clock()
        asked = [kind.due(now, self.key.epoch) for kind in self.values.kinds]
        due = [one for one in asked if one and spoilt.isdisjoint(one)]
        if not due and not any(self._lost()):
            return
        self._require_clock(await self.shared.time())
        await self._mend(token)
        for contents in due:
            await self._commit(self._writes_of(contents), token)

    async def _found(self, token: int) -> None:
        self._require_clock(await self.shared.time())
        if self.state.key is None:
            await self._keep(replace(self.state, key=FleetKey.fresh(1)))
        row = MemberRow(public=self.state.private.public.pem().decode(), since=self.clock(), by="")
        place = MEMBERS + self.name
        writes = {FOUNDED: sealed(self, FOUNDED, {}), place: sealed(self, place, row)}
        await self.shared.commit({FOUNDED: 0}, writes, token)

    async def _mend(self, token: int | None) -> None:
        for writes in batches(self._lost()):
            await self._commit(writes, token)

    def _lost(self) -> Iterator[tuple[str, bytes]]:
        for place, record in self.state.records.items():
            if place not in self.entries or self.entries[place].value != record:
                yield place, record
        for name, taken in self.values.lost(self.entries, self.state.values):
            yield name, self._sealed(name, taken)

    def _writes_of(self, contents: Mapping[str, object | None]) -> dict[str, bytes | None]:
        return {
            name: None if taken is None else self._sealed(name, taken)
            for name, taken in self.values.numbered(contents, self.state.values, self.clock())
        }

    def _sealed(self, name: str, taken: Taken) -> bytes:
        return sealed(self, name, {"serial": taken.serial, "content": taken.content})

    def require_store(self) -> None:
        """Raises `SharedAway` for a node that has no part in the store now: also one that refuses
        it, or has another time, writes nothing.
        """
        if self._is_outside or not self.connected.is_set():
            raise SharedAway(self.fault or "it was not read yet")

    async def write(
        self, contents: Mapping[str, object | None], *, as_leader: bool = False, lasts_seconds: int | None = None
    ) -> None:
        async with self._settling:
            await self._take()
            self.require_store()
            token = None
            if as_leader:
                if self._leadership is None:
                    raise Conflict
                token = self._leadership.token
            await self._commit(self._writes_of(contents), token, lasts_seconds)

    async def _commit(
        self, writes: Mapping[str, bytes | None], token: int | None, lasts_seconds: int | None = None
    ) -> None:
        """If the store still has what this node has heard of, and no next epoch."""
        there = self.entries
        names = (*writes, place_of(self.key.epoch + 1))
        compares = {name: there[name].revision if name in there else 0 for name in names}
        try:
            await self.shared.commit(compares, writes, token, lasts_seconds)
        except Conflict:
            self._refused_at = self.revision
            raise


def sealed(member: Member, name: str, content: object, key: FleetKey | None = None) -> bytes:
    """A value of a member as all of them read it; `key` is another one than that of its node."""
    return (key or member.key).seal(name, member.name, content, member.values.lowest_schema(member.members))
