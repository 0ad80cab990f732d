"""What clients carry from one node to another: address tokens of QUIC, as listeners make and take them that are built from the
secrets of each node.
"""

from pathlib import Path

import pytest

from proxy.downstream.listeners.listening import ListenerRuntime
from proxy.quic.tokens import known_address, new_token, retry_token
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.capabilities import survey as survey_openssl
from tests.configurations import Site
from tests.generations import built
from tests.proxy.supervisor.membership.nodes import PERIOD, Node, World, pair
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
