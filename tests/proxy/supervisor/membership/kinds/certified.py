"""Nodes of a fleet in the memory of a test, each with certificates in a state directory of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from certs.issuing.issuer import Issuer
from certs.keys.home import KeyHome
from certs.rotation.due import RenewalReason
from certs.storage.shelf import StoredVersion
from proxy.net.tasks import Tasks
from proxy.rotation.rotating import Rotating
from proxy.supervisor.membership.kinds.access import FleetAccess
from proxy.supervisor.membership.kinds.certificates import SharedCertificates
from proxy.supervisor.membership.shared import Shared
from tests.proxy.supervisor.membership.nodes import Node, World, joined
from tests.rotations import Rotations, configuration
from tests.waiting import until_seen

CHAT = ("chat", "ec")


class Certified:
    """A node, and its rotation. It serves as soon as it has decided to."""

    def __init__(
        self,
        world: World,
        name: str,
        issuer: Issuer | None = None,
        text: str | None = None,
        homes: dict[str, KeyHome] | None = None,
        shared: Shared | None = None,
    ) -> None:
        """`issuer` is one that all nodes have in common, as a public CA is; None: that of the configuration."""
        loop = asyncio.get_running_loop()
        self.scene = Rotations(world.directory / f"{name}-state", text or configuration(), homes=homes or {})
        self.errors: list[BaseException] = []
        self.tasks = Tasks(loop, self.errors.append)
        owner = self.scene.owner
        self.certificates = SharedCertificates(FleetAccess(loop, lambda: self.node.member), owner.tell)
        self.node: Node = world.node(name, shared, self.certificates.kinds)
        self.rotating = Rotating(loop, self.tasks, owner.swap_issued, owner.tell, self.scene.time.clocks)
        self.rotating.fleet.join(self.certificates)
        self.certificates.heard = self.rotating.fleet.heard
        own = self.scene.moody.issuer
        self.parts = replace(self.scene.parts, issuers={"internal": issuer or own})

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Certified"]:
        """Run until the block ends, which is the end of a process: nothing is undone."""
        await self.rotating.follow(self.parts)
        async with self.node.running():
            self.tasks.keep_running(self.rotating.run, 60)
            try:
                yield self
            finally:
                await self.tasks.cancel_all()
        assert self.errors == []

    @property
    def current(self) -> StoredVersion | None:
        """What serves."""
        return self.scene.shelf(self.scene.asked.slot).current()

    @property
    def served(self) -> tuple[bytes, bytes]:
        """Key and chain of what serves."""
        version = self.current
        if version is None:
            return b"", b""
        home = self.parts.homes[version.spec.place]
        name = self.scene.shelf().key_name(version.number, version.spec)
        return home.for_workers(name, version.kept_path.read_bytes()), version.chain_path.read_bytes()

    async def serves(self) -> tuple[bytes, bytes]:
        """Wait until something serves."""
        await until_seen(lambda: self.current is not None)
        return self.served

    async def agrees(self, other: "Certified") -> None:
        """Wait until it serves by the same as another one."""
        await until_seen(lambda: self.current is not None and self.served == other.served)

    async def rotate(self, reason: RenewalReason = RenewalReason.COMMAND) -> list[Any]:
        """As an operator on this node."""
        return [step async for _, step in self.rotating.rotate([CHAT], reason)]


@asynccontextmanager
async def both(one: Certified, two: Certified) -> AsyncIterator[None]:
    """Two running nodes; the second one has joined."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(one.running())
        await one.node.founds()
        await stack.enter_async_context(two.running())
        await joined(two.node, one.node)
        yield
