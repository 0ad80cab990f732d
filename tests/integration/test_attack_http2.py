"""Floods and held streams of HTTP/2 keep nobody out: the short form of `./dev soak attacks`."""

from collections.abc import Iterator

import pytest

from tests.soak.attacks import http2
from tests.soak.attacks.arena import Arena, arena, tried
from tests.soak.attacks.attack import Attack

pytestmark = pytest.mark.alone
# One that floods, and two that hold; `tests/hostile` has each flood once, and shut windows. Those are left to the soak.
# 300 requests, because of a hundred one lost SYN, which comes again after a second, decides the 99th percentile.
SOME = [one for one in http2.ATTACKS if one.name.endswith(("rapid reset", "unsettled", "half uploads"))]


@pytest.fixture(scope="module")
def running() -> Iterator[Arena]:
    with arena() as made:
        yield made


@pytest.mark.parametrize("attack", SOME, ids=lambda attack: attack.name)
def test_streams_of_a_stranger_keep_no_honest_client_out(running: Arena, attack: Attack) -> None:
    assert tried(attack, running.plexigate, 300).wrong == []
