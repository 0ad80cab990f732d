"""The readings of the last minutes."""

from proxy.observe.history.last_minutes import LastMinutes


def test_the_oldest_of_five_minutes_is_kept() -> None:
    minutes = LastMinutes[str]()
    assert minutes.oldest is None
    for minute in range(8):
        minutes.add(60.0 * minute, f"reading {minute}")
    assert minutes.oldest == (180.0, "reading 3")
    minutes.clear()
    assert minutes.oldest is None
