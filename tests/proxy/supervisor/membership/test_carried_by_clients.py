"""What clients carry from one node to another: address tokens of QUIC, and sessions, as listeners make and take them that are built
from the secrets of each node.
"""

import ssl
from pathlib import Path

import pytest

from proxy.downstream.listeners.listening import ListenerRuntime
from proxy.quic.tokens import known_address, new_token, retry_token
from proxy.supervisor.membership.kinds.keys.ticket_plan import AHEAD_SECONDS
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.capabilities import survey as survey_openssl
from tests.configurations import Site
from tests.generations import built
from tests.proxy.supervisor.membership.nodes import NOW, PERIOD, Node, World, joined, pair
from tests.proxy.tls import hellos
from tests.proxy.tls.client_visits import visit
from tests.waiting import until_seen

ADDRESS = b"\x7f\0\0\1"


@pytest.fixture(scope="module")
def capabilities() -> Capabilities:
    return survey_openssl(())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


def listener_of(node: Node, site: Site, capabilities: Capabilities) -> ListenerRuntime:
    """What a node serves by, now."""
    return built(site, capabilities, site.minimal, tickets=node.served.followed[-1][0]).listeners["public"]


async def test_address_tokens_of_a_node_are_good_at_the_other_one(
    world: World, site: Site, capabilities: Capabilities
) -> None:
    """At once, and also where one of both has changed over and the other one is late by some minutes."""
    async with pair(world) as (one, two):
        for late in (False, True):
            if late:
                world.now += PERIOD
                one.tickets.tick()
                await until_seen(lambda: len(one.served.followed) == 2)
            keys, others = (listener_of(node, site, capabilities).quic_keys for node in (one, two))
            assert (keys[0] == others[0]) is not late
            for made, taken in ((keys, others), (others, keys)):
                of_retry = retry_token(made[0], ADDRESS, b"original", b"ours", world.now)
                known = known_address(taken, of_retry, ADDRESS, b"ours", world.now)
                assert known is not None
                assert known.original_id == b"original"
                for_later = new_token(made[0], ADDRESS, world.now)
                assert known_address(taken, for_later, ADDRESS, b"another", world.now) is not None


SHORT_PERIOD = 900.0
"""After which a ticket key gives way to the next one: four times in an hour."""
STEP = 300.0
CLIENT = hellos.client_context("X25519MLKEM768")


def shake_hands(listener: ListenerRuntime, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession]:
    """Whether the session was resumed, and one for the next time; a handshake that fails is an error."""
    identity = listener.policy.identities.resolve("chat.test")
    assert identity is not None
    made = visit(identity.context, CLIENT, session)
    assert (made.last.is_finished, made.error) == (True, None)
    return bool(made.client.tls.session_reused), made.session()


async def test_an_hour_without_etcd_fails_no_handshake_and_tickets_age_by_the_plan(
    world: World, site: Site, capabilities: Capabilities
) -> None:
    """A session is resumed at any node until its key has given way twice; then its client makes a full handshake."""
    nodes = one, two = world.node("one"), world.node("two")
    one.served.period_seconds = two.served.period_seconds = SHORT_PERIOD

    def sealing_since() -> float:
        assert one.tickets.plan is not None
        return one.tickets.plan.at(world.now)[1]

    async def listeners_after(seconds: float) -> list[ListenerRuntime]:
        world.now += seconds
        for node in nodes:
            node.tickets.tick()  # as its timer does
        plan = one.tickets.plan
        assert plan is not None
        await until_seen(lambda: all(node.served.followed[-1] == plan.at(world.now) for node in nodes))
        return [listener_of(node, site, capabilities) for node in nodes]

    async with one.running():
        await one.founds()
        async with two.running():
            await joined(two, one)
            await two.serves(one)
            world.store.fail("etcd is gone")
            await until_seen(lambda: all(node.member.fault for node in nodes))
            sessions: list[tuple[float, ssl.SSLSession]] = []
            outcomes: set[tuple[float, bool]] = set()
            while world.now < NOW + 3_600:
                listeners = await listeners_after(STEP)
                sessions += [(sealing_since(), shake_hands(listener)[1]) for listener in listeners]
                for listener in listeners:
                    for since, session in sessions:
                        changes = (sealing_since() - since) / SHORT_PERIOD
                        outcomes.add((changes, shake_hands(listener, session)[0]))
            assert outcomes == {(0, True), (1, True), (2, False), (3, False), (4, False)}
            # all that was planned is over: the last key stays
            first, second = await listeners_after(2 * AHEAD_SECONDS)
            assert one.tickets.plan is not None
            assert sealing_since() == one.tickets.plan.until
            assert shake_hands(second, shake_hands(first)[1])[0]
