"""Nodes of a fleet in the memory of a test, with one clock that the test moves."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from certs.sealing.held_key import HeldKey
from certs.sealing.recipients import RecipientKem
from certs.sealing.sealer import AeadSealer, Sealer
from proxy.observe.events.event import Event
from proxy.supervisor.membership.admissions import Admissions
from proxy.supervisor.membership.kinds.keys.ticket_plan import TicketPlan
from proxy.supervisor.membership.kinds.keys.tickets import TICKETS, Tickets
from proxy.supervisor.membership.member import Member
from proxy.supervisor.membership.shared import Shared
from proxy.supervisor.membership.shared_kind import FleetNode, SharedKind
from proxy.supervisor.membership.state import NodeFile
from proxy.tls.openssl.tickets import TicketSecrets
from tests.proxy.supervisor.membership.stores import MemoryShared, MemoryStore
from tests.waiting import until_seen

if TYPE_CHECKING:
    from certs.backup.recoverable import RecoverySeal

NOW = 1_800_000_000.0
PERIOD = 43_200.0
KEM = RecipientKem.MLKEM768_X25519


@dataclass
class Served:
    """The rotation of ticket secrets in a process, as a node sees it."""

    present: tuple[bytes, float]
    followed: list[tuple[TicketSecrets, float]] = field(default_factory=list)
    period_seconds: float = PERIOD
    refusals: int = 0

    async def follow(self, tickets: TicketSecrets, since: float) -> bool:
        """Remember them, unless the workers refuse."""
        if self.refusals:
            self.refusals -= 1
            return False
        self.followed.append((tickets, since))
        self.present = tickets.current, since
        return True


class GatedSealer:
    """A `Sealer` whose token takes as long as the test likes."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self.gate = threading.Event()
        self.gate.set()

    @property
    def key_id(self) -> bytes:
        """That of the key."""
        return self._sealer.key_id

    def seal(self, plain: bytes, label: str) -> bytes:
        """Wait, then seal."""
        assert self.gate.wait(10)
        return self._sealer.seal(plain, label)

    def open(self, sealed: bytes, label: str) -> bytes:
        """Open at once."""
        return self._sealer.open(sealed, label)


class Notes:
    """A `SharedKind` of lines of text, below "notes/" or another name."""

    def __init__(self, prefix: str = "notes/", *, is_kept: bool = True) -> None:
        self.prefix: Final = prefix
        self.is_kept: Final = is_kept
        self.lines: dict[str, str] = {}
        self.wanted: dict[str, str | None] = {}
        """What the leader is to write."""
        self.takings = 0

    def parse(self, name: str, content: Any) -> str:
        """Text of one line."""
        if not isinstance(content, str) or "\n" in content:
            raise ValueError(name)
        return content

    def take(self, changed: Mapping[str, Any]) -> None:
        """Remember them."""
        self.takings += 1
        for name, line in changed.items():
            if line is None:
                del self.lines[name]
            else:
                self.lines[name] = line

    def due(self, now: float, epoch: int) -> Mapping[str, object | None]:  # noqa: ARG002
        """What is wanted and not there."""
        return {name: line for name, line in self.wanted.items() if self.lines.get(name) != line}

    async def run(self, node: FleetNode) -> None:
        """It has nothing to do."""


class World:
    """One store, and what time it is."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = MemoryStore()
        self.now = NOW
        self.store.now = lambda: self.now
        self.recovery: dict[str, RecoverySeal] = {}
        """Of the nodes that have a sealing key."""

    def node(self, name: str, shared: Shared | None = None, kinds: Sequence[SharedKind] = ()) -> "Node":
        """A node with its own disk; one of the same name has the same disk."""
        sealer = GatedSealer(AeadSealer(HeldKey(name.encode().ljust(32))))
        file = NodeFile(self.directory / name, lambda: sealer, KEM, self.recovery.get(name))
        served = Served((name.encode().ljust(32, b"s"), self.now - 100))
        events: list[Event] = []
        tickets = Tickets(served, lambda: self.now)
        member = Member(
            name,
            shared or MemoryShared(self.store),
            file,
            [tickets, *kinds],
            events.append,
            lambda: self.now,
        )
        return Node(member, Admissions(member), file, sealer, served, tickets, events)


@dataclass
class Node:
    member: Member
    admissions: Admissions
    file: NodeFile
    sealer: GatedSealer
    served: Served
    tickets: Tickets
    events: list[Event]

    @property
    def told(self) -> list[str]:
        """The names of its events."""
        return [str(one.event) for one in self.events]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Node"]:
        """Run until the block ends."""
        task = asyncio.get_running_loop().create_task(self.member.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def serves(self, other: "Node") -> None:
        """Wait until it serves by the secrets of another one."""
        await until_seen(lambda: self.served.followed and self.served.followed[-1] == other.served.followed[-1])

    async def founds(self) -> None:
        """Wait until the store has its fleet."""
        await until_seen(lambda: self.tickets.plan is not None)

    def stored_plan(self, store: MemoryStore) -> TicketPlan:
        """What the store has, as this node opens it. Raises `ValueUnusable`."""
        return TicketPlan.from_json(self.member.key.open(TICKETS, store.entries[TICKETS].value)["content"])


@asynccontextmanager
async def pair(world: World) -> AsyncIterator[tuple[Node, Node]]:
    """Two running nodes: the first one has founded the fleet, and the second one has joined it."""
    one, two = world.node("one"), world.node("two")
    async with one.running():
        await one.founds()
        async with two.running():
            await joined(two, one)
            await two.serves(one)
            yield one, two


async def joined(node: Node, by: Node) -> None:
    """Let a running node join by a running member."""
    token = await by.admissions.invite()
    await until_seen(lambda: node.member.revision)
    await node.admissions.join(token)
    await until_seen(lambda: [one.node for one in by.admissions.requests()] == [node.member.name])
    await by.admissions.approve(node.member.name)
    await until_seen(lambda: node.tickets.plan is not None)
