"""What the parent reports stands in its log, with its sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from config.loading.loader import load
from config.values.problems import Problem, Severity
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.reporting import Reporting
from tests.configurations import Site


class Written:
    """A report into a file."""

    def __init__(self, site: Site, file: Path) -> None:
        self.file = file
        loaded = load(site.write(f'{site.minimal}[log]\nformat = "json"\nfile = "{file}"\n'))
        self.target = LogTarget(loaded.file, loaded.config.log, loaded.config.limits.log_queue_lines, None)
        self.reporting = Reporting(self.target)

    def events(self) -> list[dict[str, Any]]:
        self.target.close(10)
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture
def written(site: Site, tmp_path: Path) -> Written:
    return Written(site, tmp_path / "log")


def test_an_error_that_no_code_handles_is_told_with_its_name(written: Written) -> None:
    written.reporting.unexpected(ZeroDivisionError("division by zero"))
    (event,) = written.events()
    assert (event["event"], event["error"], event["detail"]) == ("error", "ZeroDivisionError", "division by zero")


def test_a_warning_is_told_once_though_parent_and_worker_find_it(written: Written) -> None:
    found = [Problem("f", key, "a", "b", Severity.WARNING) for key in ("user", "limits.x", "user")]
    written.reporting.warn(found)
    assert [(event["event"], event["key"]) for event in written.events()] == [
        ("warning", "user"),
        ("warning", "limits.x"),
    ]
