"""Connections that show nothing keep nobody out: the short form of `./dev soak attacks`."""

from collections.abc import Iterator

import pytest

from tests.soak.attacks import silent
from tests.soak.attacks.arena import Arena, arena, tried
from tests.soak.attacks.attack import Attack

pytestmark = pytest.mark.alone
# Each kind once, and each number of addresses; `./dev soak attacks` has all nine.
SOME = silent.ATTACKS[::4]


@pytest.fixture(scope="module")
def running() -> Iterator[Arena]:
    with arena() as made:
        yield made


@pytest.mark.parametrize("attack", SOME, ids=lambda attack: attack.name)
def test_connections_that_show_no_hello_keep_no_honest_client_out(running: Arena, attack: Attack) -> None:
    assert tried(attack, running.plexigate).wrong == []
