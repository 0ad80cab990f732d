"""What the log will say about a request that is under way."""

from proxy.downstream.tally import RequestTally


def test_request_that_was_never_answered_has_one_time() -> None:
    tally = RequestTally(b"id", started=10.0)
    assert tally.seconds(12.5) == (2.5, 2.5)
    assert (tally.request_id, tally.status, tally.server, tally.route) == (b"id", 0, None, None)


def test_first_byte_has_a_time_of_its_own() -> None:
    tally = RequestTally(b"id", started=10.0)
    tally.first_byte = 11.0
    assert tally.seconds(12.5) == (1.0, 2.5)
