"""How long the parent waits: longer each time, up to an end."""

from proxy.supervisor.workers.timeouts import WorkerTimeouts


def test_the_first_restart_comes_at_once_and_the_last_pause_is_kept() -> None:
    patience = WorkerTimeouts()
    pauses = [patience.before_restart(failures) for failures in range(12)]
    assert pauses[0] == 0
    assert pauses == sorted(pauses)
    assert pauses[6:] == [30.0] * 6


def test_it_is_over_before_a_stall_counts_as_a_failure() -> None:
    patience = WorkerTimeouts()
    assert patience.stuck <= 1.0
    assert patience.ping < patience.stuck < patience.hopeless
