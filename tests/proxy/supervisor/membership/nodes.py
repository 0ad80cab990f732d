"""Nodes of a fleet in the memory of a test, with one clock that the test moves."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from certs.backup.recipients import RecipientKem
from certs.sealing.held_key import HeldKey
from certs.sealing.sealer import AeadSealer, Sealer
from proxy.observe.events.event import Event
from proxy.supervisor.membership.admissions import Admissions
from proxy.supervisor.membership.member import Member
from proxy.supervisor.membership.shared import Shared
from proxy.supervisor.membership.state import NodeFile
from proxy.tls.openssl.tickets import TicketSecrets
from tests.proxy.supervisor.membership.stores import MemoryShared, MemoryStore
from tests.waiting import until_seen

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


class World:
    """One store, and what time it is."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = MemoryStore()
        self.now = NOW
        self.store.now = lambda: self.now

    def node(self, name: str, shared: Shared | None = None) -> "Node":
        """A node with its own disk; one of the same name has the same disk."""
        sealer = GatedSealer(AeadSealer(HeldKey(name.encode().ljust(32))))
        file = NodeFile(self.directory / name, lambda: sealer, KEM)
        served = Served((name.encode().ljust(32, b"s"), self.now - 100))
        events: list[Event] = []
        member = Member(
            name,
            shared or MemoryShared(self.store),
            file,
            served,
            events.append,
            lambda: self.now,
        )
        return Node(member, Admissions(member), file, sealer, served, events)


@dataclass
class Node:
    member: Member
    admissions: Admissions
    file: NodeFile
    sealer: GatedSealer
    served: Served
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
        await until_seen(lambda: self.member.revision and self.member.state.revision)


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
    await until_seen(lambda: node.member.state.plan is not None)
