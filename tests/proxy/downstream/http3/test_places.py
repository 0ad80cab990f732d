"""When a client of HTTP/3 is told that it may open more streams."""

from proxy.downstream.http3.places import Places


def answered(places: Places, *numbers: int) -> list[int]:
    """What it is told as these open and close in turn."""
    told = []
    for number in numbers:
        places.opened(number)
        told.append(places.closed(number))
    return told


def test_free_places_are_told_together_when_half_are_left() -> None:
    assert answered(Places(4), 1, 3, 5, 7, 9, 11) == [0, 2, 0, 2, 0, 2]
    assert answered(Places(5), 1, 3, 5, 7) == [0, 0, 3, 0]


def test_the_only_place_is_told_each_time() -> None:
    assert answered(Places(1), 1, 3, 5) == [1, 1, 1]


def test_streams_that_stay_open_do_not_keep_others_from_opening() -> None:
    places = Places(4)
    for long in (1, 3, 5):
        places.opened(long)
    assert answered(places, 7, 9, 11) == [1, 1, 1]


def test_a_stream_opens_those_before_it() -> None:
    places = Places(4)
    places.opened(7)
    places.opened(1)
    assert places.closed(1) == 1


def test_a_place_is_taken_until_the_work_has_ended() -> None:
    places = Places(1)
    places.opened(1)
    places.cut_at_work(1)
    assert places.closed(1) == 0
    assert places.work_ended(1) == 1
    assert places.work_ended(1) == 0


def test_a_place_is_taken_until_quic_has_closed_the_stream() -> None:
    places = Places(1)
    places.opened(1)
    places.cut_at_work(1)
    assert places.work_ended(1) == 0
    assert places.closed(1) == 1
