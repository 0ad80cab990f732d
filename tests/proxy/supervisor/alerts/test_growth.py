"""A counter that grows is a concern for a while."""

import json

from proxy.supervisor.alerts.growth import HELD_SECONDS, Growth


def test_a_growth_is_held_and_summed_up() -> None:
    growth = Growth()
    assert growth.look({"lost": 0, "errors": 0}, 0) == {}
    assert growth.look({"lost": 3, "errors": 0}, 10) == {"lost": 3}
    assert growth.look({"lost": 3, "errors": 0}, 20) == {"lost": 3}
    assert growth.look({"lost": 5, "errors": 0}, 500) == {"lost": 5}
    assert growth.look({"lost": 5}, 500 + HELD_SECONDS - 1) == {"lost": 5}
    assert growth.look({"lost": 5}, 500 + HELD_SECONDS) == {}
    assert growth.look({"lost": 6}, 2_000) == {"lost": 1}


def test_the_first_value_is_that_of_a_new_process() -> None:
    assert Growth().look({"lost": 2}, 0) == {"lost": 2}


def test_a_worker_that_is_missing_for_a_moment_is_no_growth() -> None:
    growth = Growth(1.0)
    growth.look({"lost": 5}, 0)
    assert growth.look({"lost": 1}, 10) == {}
    assert growth.look({"lost": 5}, 20) == {}
    assert growth.look({"lost": 6}, 30) == {"lost": 1}


def test_the_next_process_of_an_upgrade_goes_on() -> None:
    growth, later = Growth(), Growth()
    growth.look({"lost": 2, "errors": 1}, 0)
    growth.look({"lost": 5, "errors": 1}, 10)
    later.take_over(json.loads(json.dumps(growth.handed(20))), 20)
    assert later.look({"lost": 5, "errors": 1}, 30) == {"lost": 5, "errors": 1}
    assert later.look({"lost": 5, "errors": 1}, HELD_SECONDS) == {"lost": 5}
    assert later.look({"lost": 5, "errors": 1}, HELD_SECONDS + 10) == {}
