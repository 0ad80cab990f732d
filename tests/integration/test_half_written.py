"""State that cannot be half written: the short form of `./dev soak state`, which stops at every system call."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.half_written.proof import first_start, restored, restoring, running
from tests.half_written.scene import State
from tests.half_written.stopping import FULL, KILL, Stopper


@pytest.fixture(scope="module")
def stopper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopper]:
    with Stopper.of(tmp_path_factory.mktemp("stopper")) as one:
        yield one


@pytest.fixture
def state(tmp_path: Path, stopper: Stopper) -> State:
    return State.made(tmp_path, stopper)


def middle(calls: int) -> list[int]:
    return [calls // 2]


def test_a_first_start_that_is_killed_leaves_what_the_next_one_serves_with(state: State) -> None:
    tried = first_start(state, KILL, middle)
    assert (tried.wrong, tried.stopped) == ([], 1)


@pytest.mark.parametrize("name", ["rotation", "rotation of a ring", "rotation below the sealing key"])
def test_an_operation_that_is_killed_loses_nothing(state: State, name: str) -> None:
    tried = running(state, name, KILL, middle)
    assert (tried.wrong, tried.stopped) == ([], 1)


def test_a_restore_that_is_killed_is_completed_by_the_next(state: State) -> None:
    tried = restoring(state, KILL, middle)
    assert (tried.wrong, tried.stopped) == ([], 1)


def test_while_the_disk_is_full_it_serves_and_loses_nothing(state: State) -> None:
    tried = running(state, "revocation", FULL, middle)
    assert (tried.wrong, tried.stopped) == ([], 1)


def test_a_directory_from_before_a_rotation_serves(state: State) -> None:
    assert restored(state, "rotation") == []
