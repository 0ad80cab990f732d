"""What a node reads of its own audit log: also of one that was rotated, or written anew."""

from datetime import UTC, datetime
from pathlib import Path

from certs.audit.entries import Action, KeyOperation, Outcome
from certs.audit.journal import StreamJournal
from certs.audit.log import AuditLog, AuditRules
from config.fleet_digest import fleet_digest
from proxy.supervisor.membership.own_facts import OwnFacts, log_end

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def written(path: Path, lines: int, key: str = "a key") -> None:
    log = AuditLog(path, AuditRules(rotate_bytes=None), None, StreamJournal())
    for _ in range(lines):
        log.append(KeyOperation("parent", Action.GENERATE, key, Outcome.DONE, ""), NOW)
    log.close()


def test_a_log_that_goes_on_still_has_the_line_that_was_told(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    written(path, 3)
    first = log_end(path, None)
    assert first is not None
    assert (first.sequence, first.told) == (4, (0, ""))
    assert log_end(path, first) == first
    written(path, 2)
    path.rename(tmp_path / "audit.log.1")
    written(path, 2)
    later = log_end(path, first)
    assert later is not None
    assert (later.log, later.sequence, later.told) == (first.log, 9, (4, first.hash))
    assert later.break_after(first) is None


def test_a_log_that_was_written_anew_is_found_however_long_it_is(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    written(path, 1)
    start = path.read_bytes()
    written(path, 3)
    first = log_end(path, None)
    assert first is not None
    for lines in (1, 3, 6):
        path.write_bytes(start)
        written(path, lines, "another key")
        later = log_end(path, first)
        assert later is not None
        assert later.log == first.log
        assert later.break_after(first) is not None


def test_a_log_without_a_line_says_nothing_new(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.touch()
    assert log_end(path, None) is None
    path.write_bytes(bytes(2_000_000))
    assert log_end(path, None) is None


def test_facts_are_of_what_is_served(tmp_path: Path) -> None:
    contents = [b"workers = 1\nreload_timeout = 3"]
    own = OwnFacts(lambda: contents[0], None)
    assert own(None).audit is None
    assert own(None).configuration == fleet_digest(contents[0])
    contents[0] = b"workers = 2\nreload_timeout = 4"
    assert own(None).configuration == fleet_digest(contents[0])
    path = tmp_path / "audit.log"
    written(path, 1)
    assert OwnFacts(lambda: contents[0], path)(None).audit == log_end(path, None)
