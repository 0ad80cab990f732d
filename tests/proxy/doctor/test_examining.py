"""Checks run side by side, with deadlines."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.doctor.checkup import Checkup, Examined, Result
from proxy.doctor.examining import examine
from proxy.doctor.finding import Area, Finding, Judge
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOTHING, answering, checkup, configured, states

OK = Judge("quick").ok("it", "fine")


def silent(_: Sequence[str]) -> None:
    """No progress."""


def run(*checkups: Checkup, seconds: float = 20.0, examined: Examined = NOTHING) -> list[Result]:
    return examine(checkups, examined, silent, seconds)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """An event that comes when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def hanging(name: str, event: threading.Event, seconds: float) -> Checkup:
    def look(_: Examined) -> Iterator[Finding]:
        yield Judge(name).ok("first", "fine")
        event.wait()
        yield Judge(name).ok("second", "fine")

    return Checkup(name, Area.MACHINE, look, seconds=seconds)


def test_results_keep_the_order_of_the_checks(never: threading.Event) -> None:
    checkups = [hanging("slow", never, 0.05), checkup("quick", OK)]
    assert [result.checkup.name for result in run(*checkups)] == ["slow", "quick"]


def test_what_a_check_found_before_its_deadline_is_kept(never: threading.Event) -> None:
    (result,) = run(hanging("slow", never, 0.05))
    assert states(result.findings) == [("first", "ok"), ("slow", "unknown")]
    assert result.findings[1].found.startswith("no answer within 0.")


def test_the_common_deadline_ends_all_and_names_what_was_not_looked_at(never: threading.Event) -> None:
    checkups = [hanging(f"slow{number}", never, 60) for number in range(8)]
    alone = replace(checkup("alone", OK), is_alone=True)
    results = run(*checkups, checkup("quick", OK), alone, seconds=0.05)
    assert all(states(result.findings)[-1][1] == "unknown" for result in results)
    assert results[8].findings[0].found == "not checked: the time for all checks was over"


def test_a_check_that_measures_runs_when_the_others_are_done() -> None:
    seen = []

    def look(_: Examined) -> Iterator[Finding]:
        names = {thread.name for thread in threading.enumerate()}
        seen.append(names & {"quick", "first", "second"})
        yield OK

    first = Checkup("first", Area.SPEED, look, is_alone=True)
    results = run(first, replace(first, name="second"), checkup("quick", OK))
    assert [len(one) for one in seen] == [1, 1]
    assert len(results) == 3


def test_an_error_in_a_check_becomes_a_finding_without_its_text() -> None:
    def look(_: Examined) -> Iterator[Finding]:
        yield OK
        raise ValueError("a secret")

    (result,) = run(Checkup("broken", Area.MACHINE, look))
    assert states(result.findings) == [("it", "ok"), ("broken", "unknown")]
    assert "ValueError at test_examining.py" in result.findings[1].found
    assert "secret" not in str(result.findings)


def test_what_a_check_lacks_is_said_with_the_remedy(tmp_path: Path) -> None:
    def of_file(examined: Examined) -> Iterator[Finding]:
        assert examined.loaded is examined.configured
        yield OK

    def of_proxy(examined: Examined) -> Iterator[Finding]:
        assert examined.proxy is examined.running
        yield OK

    file_needed, proxy_needed = Checkup("file", Area.MACHINE, of_file), Checkup("proxy", Area.MACHINE, of_proxy)
    without = run(file_needed, proxy_needed)
    assert [states(one.findings) for one in without] == [[("file", "skipped")], [("proxy", "skipped")]]
    assert "plexigate doctor FILE" in without[0].findings[0].remedy
    assert without[1].findings[0].found == "no running proxy answers"
    site = Site.make(tmp_path)
    there = replace(NOTHING, configured=configured(site.write(site.minimal)), running=answering({}))
    assert [one.findings for one in run(file_needed, proxy_needed, examined=there)] == [(OK,), (OK,)]


def test_progress_names_the_checks_that_run() -> None:
    heard: list[list[str]] = []
    examine([checkup("quick", OK)], NOTHING, lambda names: heard.append(list(names)))
    assert heard == [["quick"]]
