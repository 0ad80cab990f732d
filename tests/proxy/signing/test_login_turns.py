"""Turns to log in, between real processes: locks of fcntl(2) do not hold between threads of one."""

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.signing import login_turns
from proxy.signing.login_turns import LoginTurns
from proxy.signing.token import TokenPinRefused

# Logs in in its turn, and does what it is told in it.
OTHER = """
import sys
from proxy.signing.login_turns import LoginTurns
from proxy.signing.token import TokenPinRefused
turns = LoginTurns(int(sys.argv[1]))
try:
    with turns.turn("plexi"):
        print("in", flush=True)
        if sys.stdin.readline() == "refused\\n":
            turns.forbid("plexi")
            raise OSError
except OSError:
    pass
except TokenPinRefused:
    print("refused", flush=True)
"""


@pytest.fixture
def turns() -> Iterator[LoginTurns]:
    """Turns that are waited for longer than any test takes."""
    made = LoginTurns.create()
    yield LoginTurns(made.fd, patience=60.0)
    made.close()


@contextmanager
def other(turns: LoginTurns) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has its turn until it is told what becomes of it."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(turns.fd)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[turns.fd],
    ) as process:
        try:
            assert said(process) == "in"
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: "subprocess.Popen[str]", what: str) -> None:
    assert process.stdin is not None
    process.stdin.write(what + "\n")
    process.stdin.flush()


class Waiter:
    """A thread of this process that wants its turn."""

    def __init__(self, turns: LoginTurns, name: str = "plexi") -> None:
        self._turns, self._token = turns, name
        self.outcome = ""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._turns.turn(self._token):
                self.outcome = "in"
        except TokenPinRefused:
            self.outcome = "refused"

    def ended(self) -> str:
        self._thread.join(10)
        return self.outcome


def test_a_pin_that_was_refused_is_not_tried_until_it_is_found_good(turns: LoginTurns) -> None:
    with turns.turn("plexi"):
        pass
    turns.forbid("plexi")
    with pytest.raises(TokenPinRefused), turns.turn("plexi"):
        raise AssertionError
    with turns.turn("spare"):
        pass
    turns.allow("plexi")
    with turns.turn("plexi"):
        pass


def test_what_the_block_raises_says_nothing_of_the_pin(turns: LoginTurns) -> None:
    for _ in range(2):
        with pytest.raises(OSError, match="away"), turns.turn("plexi"):
            raise OSError("away")


@pytest.mark.parametrize(("told", "outcome"), [("good", "in"), ("refused", "refused")])
def test_others_wait_for_what_comes_of_it(turns: LoginTurns, told: str, outcome: str) -> None:
    with other(turns) as process:
        waiters = [Waiter(turns) for _ in range(3)]
        assert Waiter(turns, "spare").ended() == "in", "of another token"
        assert [waiter.outcome for waiter in waiters] == [""] * 3
        tell(process, told)
        assert [waiter.ended() for waiter in waiters] == [outcome] * 3


def test_a_good_login_lets_all_in_while_one_has_the_lock(turns: LoginTurns, monkeypatch: pytest.MonkeyPatch) -> None:
    is_waiting = threading.Event()
    monkeypatch.setattr(login_turns, "sleep", lambda _: is_waiting.set())
    with other(turns) as process:
        waiter = Waiter(turns)
        assert is_waiting.wait(10)
        turns.allow("plexi")  # as the parent does, or a worker that did not wait
        assert waiter.ended() == "in"
        assert process.poll() is None


def test_one_that_dies_in_its_turn_lets_go(turns: LoginTurns) -> None:
    with other(turns) as process:
        waiter = Waiter(turns)
        process.kill()
        assert waiter.ended() == "in"


def test_one_that_hangs_is_not_waited_for_for_ever(turns: LoginTurns) -> None:
    with other(turns) as process:
        assert Waiter(LoginTurns(turns.fd, patience=0.05)).ended() == "in"
        assert process.poll() is None


def test_two_tokens_at_one_place_forbid_each_other_nothing(turns: LoginTurns) -> None:
    place = login_turns._name_and_place("plexi")[1]
    names = (f"token {number}" for number in itertools.count())
    same = next(name for name in names if login_turns._name_and_place(name)[1] == place)
    turns.forbid("plexi")
    with turns.turn(same):
        pass
    with pytest.raises(TokenPinRefused), turns.turn("plexi"):
        raise AssertionError
