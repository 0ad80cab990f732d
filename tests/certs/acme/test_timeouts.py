"""How long to wait before the next question."""

from datetime import UTC

import pytest

from certs.acme.timeouts import AcmeClocks, AcmeTimeouts

PATIENCE = AcmeTimeouts(least_pause=1.0, longest_pause=30.0)


@pytest.mark.parametrize(
    ("asked_for", "left", "pause"),
    [(None, 100.0, 1.0), (0.0, 100.0, 1.0), (7.0, 100.0, 7.0), (900.0, 100.0, 30.0), (7.0, 3.0, 3.0), (None, 0.5, 0.5)],
)
def test_pause(asked_for: float | None, left: float, pause: float) -> None:
    assert PATIENCE.pause(asked_for, left) == pause


def test_real_clocks_are_those_of_the_machine() -> None:
    clocks = AcmeClocks()
    assert clocks.now().tzinfo is UTC
    before = clocks.monotonic()
    clocks.wait(0.0)
    assert clocks.monotonic() >= before
