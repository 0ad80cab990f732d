"""An audit log on a disk: through crashes at every byte, rotation by others, a cut file, a full disk and other processes."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.audit.checkpoint import checkpoints_in
from certs.audit.entries import HandshakeTotal
from certs.audit.log import AuditLog, AuditRules, files_of
from certs.audit.signatures import CheckpointKey, SignerUnavailable, by_fingerprint
from certs.audit.tail import LogDamaged
from certs.audit.verdict import Fault, LogVerdict
from certs.audit.verification import LogSource, verify
from certs.files.file_lock import StillLocked, locked
from certs.keys.signing_key import PublicKey
from tests.certs.audit.logs import NOW, SIGNED, SIGNER, Journal, signer_in

RULES = AuditRules(checkpoint_lines=5, rotate_bytes=None, lock_seconds=5)


def opened(
    path: Path, rules: AuditRules = RULES, signer: CheckpointKey | None = SIGNER, journal: Journal | None = None
) -> AuditLog:
    return AuditLog(path, rules, signer, journal or Journal())


def started_and_closed(path: Path) -> None:
    log = opened(path)
    log.start(NOW)
    log.close()


def lines_of(path: Path) -> list[bytes]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.splitlines(keepends=True)


def verdict(*paths: Path, journal: Journal | None = None) -> LogVerdict:
    known = checkpoints_in(journal.texts) if journal else ()
    return verify([LogSource(path.name, lines_of(path)) for path in paths], by_fingerprint([SIGNER.public_key]), known)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_what_is_recorded_is_proven_by_the_next_checkpoint(path: Path) -> None:
    journal = Journal()
    log = opened(path, journal=journal)
    log.start(NOW)
    for number in range(7):
        log.record(SIGNED if number % 2 else HandshakeTotal("worker 1", "chat", number, 0), NOW)
    log.close()
    found = verdict(path)
    # genesis, checkpoint of the start, 5 lines, checkpoint, 2 lines
    assert (found.is_intact, found.last, found.proven, found.remarks) == (True, 10, 7, ())
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(checkpoints_in(journal.texts)) == 2


def test_a_start_and_a_close_go_on_with_the_same_log(path: Path) -> None:
    for _ in range(3):
        log = opened(path)
        log.start(NOW)
        log.record(SIGNED, NOW)
        log.close()
        log.record(SIGNED, NOW)
        log.close()
    found = verdict(path)
    assert (found.is_intact, found.last) == (True, 1 + 3 * 3)


def test_a_key_that_cannot_sign_stops_nothing(path: Path) -> None:
    class Gone:
        public_key: PublicKey = SIGNER.public_key

        def sign(self, data: bytes) -> bytes:
            assert data
            raise SignerUnavailable("CKR_DEVICE_REMOVED")

    for signer in (Gone(), None):
        journal = Journal()
        log = opened(path, signer=signer, journal=journal)
        log.checkpoint(NOW)
        log.close()
        assert verdict(path).proven == 0
        without_key = verify([LogSource(path.name, lines_of(path))], known=checkpoints_in(journal.texts))
        assert without_key.proven == verdict(path, journal=journal).last - 1
    assert [remark.meaning for remark in verdict(path).remarks] == [
        "a checkpoint is not signed (CKR_DEVICE_REMOVED)",
        "a checkpoint is not signed (no key to sign with)",
    ]


class TestCrash:
    """The process dies while it writes: after each byte of each kind of line."""

    @pytest.fixture
    def path(self, in_memory: Path) -> Path:
        return in_memory / "audit.jsonl"

    def written(self, path: Path, write: Callable[[AuditLog], object]) -> tuple[bytes, bytes]:
        log = opened(path)
        before = path.read_bytes() if path.exists() else b""
        write(log)
        log.close()
        return before, path.read_bytes()[len(before) :]

    def survived(self, path: Path, content: bytes) -> LogVerdict:
        path.write_bytes(content)
        log = opened(path)
        log.record(SIGNED, NOW)
        log.record(SIGNED, NOW)
        log.checkpoint(NOW)
        log.close()
        found = verdict(path)
        assert found.is_intact, found
        assert found.proven == found.last - 1
        return found

    def test_in_an_operation(self, path: Path) -> None:
        started_and_closed(path)
        before, lines = self.written(path, lambda log: log.record(SIGNED, NOW))
        line = lines[: lines.index(b"\n") + 1]
        for cut in range(1, len(line) - 1):
            assert len(self.survived(path, before + line[:cut]).remarks) == 1
        # all but the newline: the line is whole
        assert self.survived(path, before + line[:-1]).remarks == ()
        assert self.survived(path, before + line).remarks == ()
        assert self.survived(path, before).last == self.survived(path, before + line[:-1]).last - 1

    def test_in_the_first_line_of_a_log(self, path: Path) -> None:
        _, line = self.written(path, lambda log: log.start(NOW))
        first = line[: line.index(b"\n") + 1]
        for cut in range(1, len(first) - 1):
            assert [str(one.place) for one in self.survived(path, first[:cut]).remarks] == ["audit.jsonl:1"]

    def test_in_the_line_that_names_the_torn_one(self, path: Path) -> None:
        started_and_closed(path)
        whole = path.read_bytes()
        path.write_bytes(whole + b'{"actor":"par')
        before, line = self.written(path, lambda log: log.record(SIGNED, NOW))
        named = line[: line.index(b"\n", 1) + 1]
        assert named.startswith(b"\n{")
        for cut in range(1, len(named) - 1):
            self.survived(path, before + named[:cut])

    def test_with_pages_that_were_never_written(self, path: Path) -> None:
        started_and_closed(path)
        whole = path.read_bytes()
        for end in (b"", b'"parent"}', b'"parent"}\n'):
            assert len(self.survived(path, whole + bytes(4_096) + end).remarks) == 1

    @pytest.mark.parametrize("name", ["audit-000000000002.jsonl", "audit.1.jsonl"])
    def test_between_the_rename_and_the_new_file(self, path: Path, name: str) -> None:
        started_and_closed(path)
        path.rename(path.with_name(name))
        log = opened(path)
        log.start(NOW)
        log.close()
        assert verdict(*files_of(path)).is_intact
        assert verdict(*files_of(path)).last == 4


class TestRotation:
    def test_by_size(self, path: Path) -> None:
        log = opened(path, AuditRules(checkpoint_lines=5, rotate_bytes=2_000))
        for _ in range(40):
            log.record(SIGNED, NOW)
        log.checkpoint(NOW)
        log.close()
        files = files_of(path)
        assert len(files) > 5
        found = verdict(*files)
        assert (found.is_intact, found.unproven) == (True, 1)
        assert all(b'"kind":"continued"' in lines_of(one)[0] for one in files[1:])
        del_one = files[:2] + files[3:]
        assert {finding.fault for finding in verdict(*del_one).findings} == {Fault.REMOVED}

    def test_by_another_program_while_this_one_runs(self, path: Path) -> None:
        log, other = opened(path), opened(path)
        log.start(NOW)
        other.start(NOW)
        other.record(SIGNED, NOW)
        path.rename(f"{path}.1")
        log.record(SIGNED, NOW)
        other.record(SIGNED, NOW)
        path.rename(f"{path}.0")
        path.touch(0o644)  # as logrotate's `create` does
        other.record(SIGNED, NOW)
        log.record(SIGNED, NOW)
        assert path.stat().st_mode & 0o777 == 0o600
        files = [Path(f"{path}.1"), Path(f"{path}.0"), path]
        assert (verdict(*files).is_intact, verdict(*files).last) == (True, sum(len(lines_of(one)) for one in files))
        log.close()
        other.close()

    def test_while_nothing_runs_and_with_compression(self, path: Path) -> None:
        for number in range(3):
            started_and_closed(path)
            Path(f"{path}.{number}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        started_and_closed(path)
        files = [*(Path(f"{path}.{number}.gz") for number in range(3)), path]
        assert (verdict(*files).is_intact, verdict(*files).last) == (True, 8)

    def test_by_copy_and_truncation(self, path: Path) -> None:
        log = opened(path)
        log.start(NOW)
        Path(f"{path}.1").write_bytes(path.read_bytes())
        os.truncate(path, 0)
        log.record(SIGNED, NOW)
        log.close()
        assert verdict(Path(f"{path}.1"), path).is_intact

    def test_a_file_beside_it_that_is_another(self, path: Path) -> None:
        path.with_name("audit-notes.jsonl").write_text("not a log\n")
        path.with_name("audit.jsonl.d").mkdir()
        started_and_closed(path)
        assert verdict(path).is_intact


class TestAnotherLogBesideIt:
    def another(self, path: Path, name: str, lines: int, now: datetime = NOW) -> bytes:
        """The end of a log that has come here under a name."""
        beside = path.with_name("other")
        beside.mkdir()
        log = opened(beside / "other.jsonl")
        for _ in range(lines):
            log.append(SIGNED, now)
        log.close()
        (beside / "other.jsonl").rename(path.with_name(name))
        return lines_of(path.with_name(name))[0]

    @pytest.mark.parametrize("name", ["audit.old.jsonl", "audit-gate2.jsonl", "audit.jsonl.bak", "audit.jsonl~"])
    def test_a_name_that_no_rotation_gives(self, path: Path, name: str) -> None:
        foreign = self.another(path, name, 30)
        journal = Journal()
        log = opened(path, journal=journal)
        log.record(SIGNED, NOW)
        log.close()
        assert b'"kind":"genesis"' in lines_of(path)[0]
        begun = [text for text in journal.texts if "a new audit log begins" in text]
        assert len(begun) == 1
        assert str(path) in begun[0]
        assert path.with_name(name) not in files_of(path)
        assert lines_of(path.with_name(name))[0] == foreign

    @pytest.mark.parametrize(
        "name",
        [
            "audit.jsonl.1",
            "audit.jsonl-20260504",
            "audit-20260504.jsonl",
            "audit.jsonl-2026-05-04_10:00",
            "audit.3.jsonl",
        ],
    )
    def test_names_that_rotations_give(self, path: Path, name: str) -> None:
        started_and_closed(path)
        path.rename(path.with_name(name))
        journal = Journal()
        log = opened(path, journal=journal)
        log.record(SIGNED, NOW)
        log.close()
        assert verdict(path.with_name(name), path).is_intact
        assert not [text for text in journal.texts if "a new audit log begins" in text]

    def test_the_log_that_was_written_last_goes_on_however_long_the_other_is(self, path: Path) -> None:
        self.another(path, "audit.jsonl.1", 30, NOW - timedelta(days=1))
        log = opened(path.with_name("audit.jsonl.2"))
        log.append(SIGNED, NOW)
        log.close()
        path.with_name("audit.jsonl.2.lock").unlink()
        started_and_closed(path)
        assert verdict(path.with_name("audit.jsonl.2"), path).is_intact
        assert verdict(path).first == 3

    def test_a_log_of_its_own(self, path: Path) -> None:
        started_and_closed(path.with_name("audit-2.jsonl"))
        started_and_closed(path)
        assert verdict(path).first == 1
        assert files_of(path) == (path,)


class TestManipulation:
    def test_a_cut_while_it_runs_shows_in_the_file_itself(self, path: Path) -> None:
        log = opened(path)
        log.start(NOW)
        for _ in range(3):
            log.record(SIGNED, NOW)
        kept = lines_of(path)[:-2]
        path.write_bytes(b"".join(kept))
        log.record(SIGNED, NOW)
        log.close()
        assert [finding.fault for finding in verdict(path).findings] == [Fault.REMOVED]

    def test_a_cut_while_nothing_runs_shows_against_the_journal(self, path: Path) -> None:
        journal = Journal()
        log = opened(path, journal=journal)
        log.record(SIGNED, NOW)
        log.record(SIGNED, NOW)
        log.checkpoint(NOW)
        log.close()
        path.write_bytes(b"".join(lines_of(path)[:-2]))
        log = opened(path)
        log.start(NOW)
        log.record(SIGNED, NOW)
        log.close()
        assert verdict(path).is_intact
        assert {finding.fault for finding in verdict(path, journal=journal).findings} == {Fault.REWRITTEN}

    def test_a_log_that_was_begun_anew_by_another_process_is_followed(self, path: Path) -> None:
        log = opened(path)
        log.start(NOW)
        path.unlink()
        other = opened(path)
        other.start(NOW)
        log.record(SIGNED, NOW)
        log.close()
        other.close()
        assert verdict(path).is_intact

    def test_a_file_that_cannot_be_continued_is_left_as_it_is(self, path: Path) -> None:
        path.write_bytes(b"x" * 2_000_000)
        with pytest.raises(LogDamaged):
            started_and_closed(path)
        assert path.read_bytes() == b"x" * 2_000_000

    def test_a_damaged_file_that_was_renamed_does_not_stop_the_next(self, path: Path) -> None:
        log = opened(path)
        log.start(NOW)
        path.write_bytes(b"x" * 2_000_000)
        path.rename(f"{path}.1")
        log.record(SIGNED, NOW)
        log.close()
        assert verdict(path).is_intact
        assert verdict(path).first == 3


def test_a_full_disk_is_said_and_the_log_goes_on_when_there_is_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(path)
    log.start(NOW)
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:20]))
    with pytest.raises(OSError, match=r"only 20 of \d+ bytes could be written"):
        log.record(SIGNED, NOW)
    monkeypatch.undo()
    log.record(SIGNED, NOW)
    log.close()
    assert verdict(path).is_intact
    assert "left incomplete" in verdict(path).remarks[0].meaning


def test_another_process_that_keeps_the_lock_is_named(path: Path) -> None:
    log = opened(path, AuditRules(lock_seconds=0.02))
    with locked(Path(f"{path}.lock"), 0), pytest.raises(StillLocked, match=r"audit\.jsonl\.lock"):
        log.record(SIGNED, NOW)


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from certs.audit.entries import Action, KeyOperation, Outcome
from certs.audit.log import AuditLog, AuditRules
from certs.audit.signing import FileSigner
from tests.certs.audit.logs import Journal
log = AuditLog(Path(sys.argv[1]), AuditRules(20, 8_000, 60), FileSigner.load(Path(sys.argv[2])), Journal())
for number in range(60):
    log.record(KeyOperation(sys.argv[3], Action.SIGN, str(number), Outcome.DONE), datetime.fromtimestamp(0, UTC))
"""


def test_processes_do_not_interleave(path: Path, tmp_path: Path) -> None:
    key = tmp_path / "signer.key"
    signer = signer_in(key)
    arguments = [sys.executable, "-c", WRITER, str(path), str(key)]
    writers = [subprocess.Popen([*arguments, f"process {number}"]) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = [line for file in files_of(path) for line in lines_of(file)]
    found = verify(
        [LogSource(file.name, lines_of(file)) for file in sorted(files_of(path))], by_fingerprint([signer.public_key])
    )
    assert found.is_intact, found
    for number in range(3):
        mine = [line for line in lines if b'"actor":"process %d"' % number in line]
        assert len(mine) == 60
    assert len(files_of(path)) > 3


def test_one_record_is_on_disk_when_it_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    log = opened(path)
    log.start(NOW)
    monkeypatch.setattr(os, "fsync", fsync)
    log.record(SIGNED, NOW + timedelta(seconds=1))
    log.close()
    assert synced == [path.stat().st_size]


def test_times_are_utc(path: Path) -> None:
    log = opened(path)
    log.record(SIGNED, datetime(2026, 1, 1, tzinfo=UTC).astimezone())
    log.close()
    assert b'"time":"2026-01-01T00:00:00.000000Z"' in path.read_bytes()


def test_a_file_that_could_not_be_opened_for_a_while_goes_on_where_it_was(path: Path) -> None:
    log = opened(path)
    log.start(NOW)
    away = path.rename(path.with_name("away"))
    path.mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            log.append(SIGNED, NOW)
    path.rmdir()
    away.rename(path)
    log.append(SIGNED, NOW)
    assert log.is_checkpoint_due is False
    log.close()
    assert (verdict(path).is_intact, verdict(path).last) == (True, 3)


def test_a_checkpoint_covers_what_another_process_has_written(path: Path) -> None:
    log, other = opened(path), opened(path)
    log.start(NOW)
    other.append(SIGNED, NOW)
    other.close()
    assert log.checkpoint(NOW).count == 3
    log.close()
