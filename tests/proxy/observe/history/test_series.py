"""A table of samples that forgets the oldest."""

from proxy.observe.history.series import MOST_SERIES, Series


def test_it_begins_empty() -> None:
    assert Series(10.0, 3).since(0.0) == {"seconds": 10.0, "length": 3, "at": [], "series": {}}


def test_samples_come_as_columns() -> None:
    kept = Series(10.0, 3)
    kept.add(10.04, {"a": 1.0})
    kept.add(20.0, {"b": 0.00123456})
    assert kept.since(0.0)["at"] == [10.0, 20.0]
    assert kept.since(0.0)["series"] == {"a": [1.0, None], "b": [None, 0.001235]}


def test_the_oldest_is_forgotten() -> None:
    kept = Series(10.0, 3)
    for number in range(1, 6):
        kept.add(10.0 * number, {"a": float(number)})
    assert kept.since(0.0)["at"] == [30.0, 40.0, 50.0]
    assert kept.since(0.0)["series"] == {"a": [3.0, 4.0, 5.0]}


def test_only_what_came_after_a_time_is_told() -> None:
    kept = Series(10.0, 3)
    kept.add(10.0, {"a": 1.0, "gone": 1.0})
    kept.add(20.0, {"a": 2.0})
    assert kept.since(10.0)["at"] == [20.0]
    assert kept.since(10.0)["series"] == {"a": [2.0]}


def test_there_are_only_so_many_series() -> None:
    kept = Series(10.0, 3)
    for number in range(2 * MOST_SERIES):
        kept.add(float(number), {f"series {number}": 1.0})
    kept.add(1_000.0, {"series 0": 7.0, "one more": 8.0})
    assert kept.since(999.0)["series"] == {"series 0": [7.0]}


def test_it_can_be_cleared() -> None:
    kept = Series(10.0, 3)
    kept.add(10.0, {"a": 1.0})
    kept.clear()
    assert kept.since(0.0)["at"] == []
    kept.add(5.0, {"b": 1.0})
    assert kept.since(0.0)["series"] == {"b": [1.0]}


def test_another_table_goes_on_with_what_this_one_has_told() -> None:
    kept, later = Series(10.0, 3), Series(10.0, 3)
    for number in range(1, 6):
        kept.add(10.0 * number, {"a": float(number)} if number < 5 else {"b": 0.5})
    later.take_over(kept.since(0.0))
    assert later.since(0.0) == kept.since(0.0)
