"""The tokens of a process follow its configurations."""

import threading

import pytest

from proxy.signing.token import Timing
from proxy.signing.token_counters import TokenCounters
from proxy.signing.tokens import TokenPlan, Tokens
from tests.fakes import FakeLoop
from tests.fakes_signing import HandProbe, RecordingWatcher


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def tokens(loop: FakeLoop) -> Tokens:
    return Tokens(Timing(loop, loop.time), lambda _: TokenCounters(), RecordingWatcher())


def threads(name: str) -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith(f"sign-{name}-")]


def test_new_ones_come_and_old_ones_go(tokens: Tokens) -> None:
    tokens.use({"comes": TokenPlan(3, HandProbe()), "stays": TokenPlan(1, HandProbe())})
    assert set(tokens) == {"comes", "stays"}
    assert len(tokens) == 2
    assert len(threads("comes")) == 3
    stays, gone = tokens["stays"], threads("comes")
    tokens.use({"stays": TokenPlan(1, HandProbe())})
    assert list(tokens) == ["stays"]
    assert tokens["stays"] is stays
    for one in gone:
        one.join(10)
        assert not one.is_alive()
    tokens.close()
    assert len(tokens) == 0


def test_rows_tell_what_goes_on(tokens: Tokens) -> None:
    tokens.use({"told": TokenPlan(2, HandProbe())})
    rows = tokens.rows()
    assert rows["token_figures"] == [
        {"token": "told", "queued": 0, "running": 0, "lost": 0, "sessions": 1, "threads": 2}
    ]
    assert rows["token_states"] == [{"token": "told", "state": "closed", "count": 1}]
    assert rows["token_good"] == []
    tokens["told"].succeeded(0.004)
    assert tokens.rows()["token_good"] == [{"token": "told", "youngest": 0.0}]
    tokens.close()


def test_those_that_nobody_uses_are_looked_at(loop: FakeLoop, tokens: Tokens) -> None:
    looked = threading.Semaphore(0)

    class Looked(HandProbe):
        def check(self) -> float:
            looked.release()
            raise OSError

    tokens.use({"told": TokenPlan(2, Looked())})
    loop.advance(5)
    assert looked.acquire(timeout=10)
    tokens.close()
    assert not loop.timers
