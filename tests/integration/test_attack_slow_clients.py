"""Clients of one address that keep the proxy waiting: others, and those behind the same address, notice nothing."""

from collections.abc import Iterator

import pytest

from tests.soak.attacks import slow_uploads, unread_answers
from tests.soak.attacks.arena import Arena, arena, tried
from tests.soak.attacks.attack import Attack

pytestmark = pytest.mark.alone

# How the length of an upload is said makes no difference here; `./dev soak attacks` has both.
ATTACKS = (slow_uploads.ATTACKS[0], *unread_answers.ATTACKS)


@pytest.fixture(scope="module")
def running() -> Iterator[Arena]:
    """A proxy with default limits."""
    with arena() as made:
        yield made


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_single_address_takes_no_server_from_others(running: Arena, attack: Attack) -> None:
    assert tried(attack, running.plexigate).wrong == []
