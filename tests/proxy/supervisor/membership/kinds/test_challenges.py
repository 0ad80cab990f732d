"""Challenges that every node shows: a CA is told when all do, or when who does not was waited for."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from certs.acme.challenges.proofs import PresentingFailed, Proof
from config.tables.issuers import AcmeChallenge
from proxy.net.in_thread import in_thread
from proxy.supervisor.membership.kinds.challenges import FleetChallenges
from proxy.supervisor.membership.places import MEMBERS, nodes_of
from proxy.supervisor.membership.shared import Conflict, SharedAway
from proxy.tls.handshake.challenge import TlsChallenge
from tests.proxy.supervisor.membership.nodes import World, joined
from tests.waiting import until_seen

HTTP = Proof(AcmeChallenge.HTTP_01, "chat.test", "token", "thumb", "https://ca.test/1")
TLS = Proof(AcmeChallenge.TLS_ALPN_01, "chat.test", "token", "thumb", "https://ca.test/1")


class Showing:
    """A node that shows challenges, unless its workers are `stuck`."""

    def __init__(self, world: World, name: str, seconds: float = 60.0) -> None:
        self.names: dict[str, bytes] = {}
        self.tokens: dict[str, str] = {}
        self.stuck = asyncio.Event()
        self.stuck.set()
        loop = asyncio.get_running_loop()
        self.solver = FleetChallenges(loop, self.show, lambda: nodes_of(MEMBERS, self.node.member.entries), seconds)
        self.node = world.node(name, kinds=self.solver.kinds)

    async def show(self, challenges: Sequence[TlsChallenge], tokens: Mapping[str, str]) -> None:
        """As the workers."""
        await self.stuck.wait()
        self.names = {one.name: one.digest for one in challenges}
        self.tokens = dict(tokens)

    async def present(self, proof: Proof) -> None:
        """As an order, in its thread."""
        await in_thread(asyncio.get_running_loop(), lambda: self.solver.present(proof))

    async def withdraw(self, proof: Proof) -> None:
        """As an order."""
        await in_thread(asyncio.get_running_loop(), lambda: self.solver.withdraw(proof))


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("proxy.supervisor.membership.kinds.challenges._RETRY_SECONDS", 0.001)
    return world


@asynccontextmanager
async def pair(world: World, seconds: float = 60.0) -> AsyncIterator[tuple[Showing, Showing]]:
    one, two = Showing(world, "one", seconds), Showing(world, "two", seconds)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(one.node.running())
        await one.node.founds()
        await stack.enter_async_context(two.node.running())
        await joined(two.node, one.node)
        await until_seen(lambda: len(nodes_of(MEMBERS, one.node.member.entries)) == 2)
        yield one, two


async def test_all_nodes_show_it_before_the_ca_is_told_and_none_afterwards(world: World) -> None:
    async with pair(world) as (one, two):
        two.stuck.clear()
        presenting = asyncio.get_running_loop().create_task(one.present(HTTP))
        await until_seen(lambda: one.tokens and "shown/one" in world.store.entries)
        await asyncio.sleep(0.05)
        assert not presenting.done()
        two.stuck.set()
        await presenting
        assert one.tokens == two.tokens == {"token": "token.thumb"}
        assert world.store.lasting["challenges/http-01/token"] >= 600
        await two.present(TLS)
        assert one.names == two.names == {"chat.test": TLS.digest}
        await one.withdraw(HTTP)
        await two.withdraw(TLS)
        await until_seen(lambda: not any((one.names, one.tokens, two.names, two.tokens)))
        stored = b"".join(stored.value for stored in world.store.entries.values())
        assert b"token.thumb" not in stored


async def test_a_member_that_is_away_is_not_waited_for_long(world: World) -> None:
    async with pair(world, 0.1) as (one, two):
        two.stuck.clear()
        await one.present(HTTP)
        assert one.tokens
        assert not two.tokens
        two.stuck.set()


async def test_a_name_has_one_challenge_at_a_time_and_the_next_leader_shows_the_same(world: World) -> None:
    async with pair(world) as (one, two):
        await one.present(TLS)
        await two.present(TLS)  # it goes on with the order of the first one
        other = Proof(AcmeChallenge.TLS_ALPN_01, "chat.test", "another", "thumb", "https://ca.test/2")
        presenting = asyncio.get_running_loop().create_task(one.present(other))
        await asyncio.sleep(0.05)
        assert not presenting.done()
        await two.withdraw(TLS)
        await presenting
        assert one.names == two.names == {"chat.test": other.digest}


async def test_what_cannot_be_shown_is_said(world: World) -> None:
    one = Showing(world, "one")
    with pytest.raises(PresentingFailed, match="this node has not begun"):
        await one.present(HTTP)
    with pytest.raises(PresentingFailed, match="dns-01 without a hook"):
        await one.present(Proof(AcmeChallenge.DNS_01, "chat.test", "token", "thumb", "https://ca.test/1"))
    async with one.node.running():
        await one.node.founds()
        await one.present(HTTP)
        world.store.fail("etcd is gone")
        with pytest.raises(PresentingFailed, match="the fleet cannot show it: etcd is gone"):
            await one.present(TLS)
        assert one.tokens, "until the store says otherwise"


@pytest.mark.parametrize("error", [OSError("disk full"), SharedAway("etcd does not answer"), Conflict()])
async def test_a_node_that_cannot_say_what_it_shows_tries_again(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async with pair(world) as (one, two):
        write = two.node.member.write
        failed: list[Exception] = []

        async def fails_once(contents: Mapping[str, object | None], **how: Any) -> None:
            if not failed:
                failed.append(error)
                raise error
            await write(contents, **how)

        monkeypatch.setattr(two.node.member, "write", fails_once)
        await one.present(HTTP)
        assert failed
        assert two.tokens == one.tokens
