"""What is known about servers: each fact is kept until another one of its kind comes, or the server goes."""

from proxy.processes.messages.questions import Verdict
from proxy.supervisor.verdicts import Verdicts

ONE, TWO = "http://10.0.0.1:8000", "http://10.0.0.2:8000"


NOW = 1_000.0


def verdicts() -> Verdicts:
    """By a clock that stands still."""
    return Verdicts(lambda: NOW)


def verdict(server: str = ONE, *, is_up: bool | None = None, drains_until: float | None = None) -> Verdict:
    """What workers are told about a server of `chat`."""
    return Verdict("chat", server, is_up, drains_until)


def test_nothing_is_known_at_first() -> None:
    known = verdicts()
    assert known.all == ()
    assert known.health == {}


def test_each_word_is_kept_for_workers_that_join_later() -> None:
    known = verdicts()
    assert known.checked("chat", ONE, is_up=False) == verdict(is_up=False)
    assert known.draining("chat", TWO, 30.0) == verdict(TWO, drains_until=1_030.0)
    assert known.all == (verdict(is_up=False), verdict(TWO, drains_until=1_030.0))
    assert known.checked("chat", ONE, is_up=True) == verdict(is_up=True)
    assert known.undrained("chat", TWO) == verdict(TWO)
    assert known.all == (verdict(is_up=True), verdict(TWO))


def test_checks_and_drains_do_not_undo_each_other() -> None:
    known = verdicts()
    known.checked("chat", ONE, is_up=False)
    assert known.draining("chat", ONE, 30.0) == verdict(is_up=False, drains_until=1_030.0)
    assert known.checked("chat", ONE, is_up=True) == verdict(is_up=True, drains_until=1_030.0)
    assert known.undrained("chat", ONE) == verdict(is_up=True)


def test_drain_is_known_until_it_is_undone() -> None:
    known = verdicts()
    assert not known.is_draining("chat", ONE)
    known.draining("chat", ONE, 0.0)
    known.checked("chat", ONE, is_up=True)
    assert known.is_draining("chat", ONE)
    known.undrained("chat", ONE)
    assert not known.is_draining("chat", ONE)


def test_a_server_takes_requests_unless_a_check_or_an_operator_says_otherwise() -> None:
    known = verdicts()
    assert known.takes_requests("chat", ONE)
    known.checked("chat", ONE, is_up=False)
    assert not known.takes_requests("chat", ONE)
    known.checked("chat", ONE, is_up=True)
    known.draining("chat", ONE, 0.0)
    assert not known.takes_requests("chat", ONE)


def test_drain_ends_at_a_moment_that_does_not_move_with_those_who_are_told_later() -> None:
    times = [NOW]
    known = Verdicts(lambda: times[-1])
    known.draining("chat", ONE, 30.0)
    times.append(NOW + 20.0)
    assert known.checked("chat", ONE, is_up=True) == verdict(is_up=True, drains_until=1_030.0)
    assert known.draining("chat", ONE, 30.0) == verdict(is_up=True, drains_until=1_050.0)


def test_drain_of_a_server_that_nothing_was_known_about_can_be_taken_back() -> None:
    assert verdicts().undrained("chat", ONE) == verdict()


def test_servers_of_the_same_name_in_two_upstreams_are_two() -> None:
    known = verdicts()
    known.checked("chat", ONE, is_up=False)
    known.checked("files", ONE, is_up=True)
    assert known.health == {("chat", ONE): False, ("files", ONE): True}


def test_health_is_of_those_that_were_checked() -> None:
    known = verdicts()
    known.draining("chat", ONE, 30.0)
    assert known.health == {}
    known.checked("chat", TWO, is_up=False)
    assert known.health == {("chat", TWO): False}


class TestFollow:
    """Another configuration."""

    def test_who_is_gone_is_forgotten(self) -> None:
        known = verdicts()
        known.checked("chat", ONE, is_up=False)
        known.checked("chat", TWO, is_up=False)
        known.follow({("chat", TWO): True, ("files", ONE): True})
        assert known.all == (verdict(TWO, is_up=False),)

    def test_who_is_not_checked_any_more_is_neither_up_nor_down_but_still_drains(self) -> None:
        known = verdicts()
        known.checked("chat", ONE, is_up=False)
        known.draining("chat", ONE, 30.0)
        known.follow({("chat", ONE): False})
        assert known.all == (verdict(drains_until=1_030.0),)
        assert known.health == {}


def test_what_an_earlier_process_knew_is_known() -> None:
    verdicts = Verdicts(lambda: 0.0)
    verdicts.adopt([Verdict("chat", "a", is_up=False), Verdict("chat", "b", None, 12.5)])
    assert not verdicts.takes_requests("chat", "a")
    assert verdicts.is_draining("chat", "b")
