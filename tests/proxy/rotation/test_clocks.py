"""The clocks of this machine."""

from datetime import UTC, timedelta

from proxy.rotation.clocks import CLOCKS


def test_time_goes_on_and_chance_is_chance() -> None:
    before, after = CLOCKS.now(), CLOCKS.now()
    assert after.ticks >= before.ticks
    assert before.wall.tzinfo is UTC
    assert abs(after.wall - before.wall) < timedelta(minutes=1)
    found = [CLOCKS.jitter() for _ in range(50)]
    assert all(0 <= one < 1 for one in found)
    assert len(set(found)) > 1
