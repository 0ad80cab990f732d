"""Whoever tells the audit log something continues at once; a thread writes, loses nothing for
want of a moment, and says what it lost."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from certs.audit.entries import Action, Outcome
from certs.audit.line import LineKind
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from config.values.problems import ConfigError
from proxy.observe.events.event import Event
from proxy.supervisor.secrets.audit_trail import AuditTrail

NOW = datetime(2026, 5, 4, tzinfo=UTC)


class Trail:
    """A trail in a directory, and what it reports."""

    def __init__(self, directory: Path, **table: object) -> None:
        self.log = directory / "audit.jsonl"
        config = Config.model_validate({"audit": {"file": "audit.jsonl", **table}})
        self.loaded = LoadedConfig(config, ConfigFile(directory / "p.toml"))
        self.trail = AuditTrail(lambda: NOW)
        self.events: list[str] = []
        self.reported = threading.Condition()
        self.trail.report_to(self._report)

    def _report(self, event: Event) -> None:
        with self.reported:
            self.events.append(event.event)
            self.reported.notify_all()

    def until(self, event: str) -> None:
        with self.reported:
            assert self.reported.wait_for(lambda: event in self.events, 10)

    def tell(self, key: str = "chat") -> None:
        self.trail.operation(Action.SIGN, key, Outcome.DONE)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def test_what_was_told_before_and_after_the_opening_is_written_in_order(tmp_path: Path) -> None:
    one = Trail(tmp_path)
    one.tell("first")
    one.trail.open(one.loaded.file, one.loaded.config.audit, one.loaded.config.hsm)
    one.tell("second")
    assert one.trail.close(10)
    kinds = [LineKind(line["kind"]) for line in one.lines()]
    assert (kinds[0], kinds[1], kinds[-1]) == (LineKind.GENESIS, LineKind.CHECKPOINT, LineKind.CHECKPOINT)
    assert [line["key"] for line in one.lines() if line["kind"] == "operation"] == ["first", "second"]
    assert one.trail.as_row() == {"written": 2, "lost": 0, "errors": 0, "unsigned": 0}
    assert one.events.count("audit_checkpoint") == 2


def test_what_happens_before_there_is_a_log_of_the_process_is_told_to_it(tmp_path: Path) -> None:
    one = Trail(tmp_path)
    one.trail = AuditTrail(lambda: NOW)
    one.trail.open(one.loaded.file, one.loaded.config.audit, one.loaded.config.hsm)
    assert one.trail.close(10)
    one.trail.report_to(one._report)
    assert one.events == ["audit_log_begun", "audit_checkpoint", "audit_checkpoint"]


def test_without_a_file_nothing_is_kept(tmp_path: Path) -> None:
    trail = AuditTrail(lambda: NOW)
    trail.operation(Action.SIGN, "chat", Outcome.DONE)
    trail.open(
        (given := LoadedConfig(Config(), ConfigFile(tmp_path / "p.toml"))).file, given.config.audit, given.config.hsm
    )
    trail.operation(Action.SIGN, "chat", Outcome.DONE)
    assert (trail.close(0), trail.as_row(), list(tmp_path.iterdir())) == (True, {}, [])


@pytest.mark.parametrize("content", ["no audit log, and far too long to be a torn line\n" * 40_000, None])
def test_a_log_that_cannot_be_written_stops_the_start(tmp_path: Path, content: str | None) -> None:
    one = Trail(tmp_path)
    if content is None:
        one.log.mkdir()
    else:
        one.log.write_text(content)
    with pytest.raises(ConfigError, match=r"audit\.file"):
        one.trail.open(one.loaded.file, one.loaded.config.audit, one.loaded.config.hsm)


def test_what_the_disk_does_not_take_is_tried_again_and_what_the_queue_does_not_take_is_counted(tmp_path: Path) -> None:
    one = Trail(tmp_path, queue_lines=3)
    one.trail.open(one.loaded.file, one.loaded.config.audit, one.loaded.config.hsm)
    one.until("audit_checkpoint")
    # what is not a file cannot be written
    one.log.rename(tmp_path / "away.jsonl")
    one.log.mkdir()
    one.tell("kept")
    one.until("audit_log_failed")
    for number in range(5):
        one.tell(f"queued {number}")
    one.log.rmdir()
    (tmp_path / "away.jsonl").rename(one.log)
    one.until("audit_log_written_again")
    assert one.trail.close(10)
    keys = [line["key"] for line in one.lines() if line["kind"] == "operation"]
    assert keys == ["kept", "audit log", "queued 0", "queued 1", "queued 2"]
    figures = one.trail.figures
    assert (figures.written, figures.lost, figures.errors > 0) == (5, 2, True)
    assert "2 lines, while the log could not be written" in one.log.read_text()


def test_an_end_waits_for_no_disk(tmp_path: Path) -> None:
    one = Trail(tmp_path)
    one.trail.open(one.loaded.file, one.loaded.config.audit, one.loaded.config.hsm)
    one.until("audit_checkpoint")
    one.log.unlink()
    one.log.mkdir()
    for _ in range(3):
        one.tell()
    assert one.trail.close(10)
    assert one.trail.figures.lost == 3
