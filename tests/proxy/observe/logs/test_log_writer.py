"""The log writer: nothing waits for it, nothing is lost silently, and no error of a file ends it."""

import json
import os
import resource
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.files.directory import open_log
from proxy.observe.logs.log_writer import LogWriter
from tests.descriptors import open_descriptors

SECONDS = 20.0
PATIENT = 3_600.0
"""A writer collects lines for as long as nothing is urgent."""


def line(number: int, size: int = 20) -> bytes:
    """Make a line that can be told from the others."""
    return b"%d " % number + b"x" * size + b"\n"


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Make a pipe, and close what the test left open of it."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        for descriptor in (reading, writing):
            with suppress(OSError):
                os.close(descriptor)


def fill(descriptor: int) -> None:
    """Write to a pipe until nothing more goes in."""
    os.set_blocking(descriptor, False)
    with suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"-1 \n" * (select.PIPE_BUF // 4))
    os.set_blocking(descriptor, True)


def read_until(descriptor: int, wanted: bytes) -> bytes:
    """Read until the data contains something."""
    data = b""
    while wanted not in data:
        data += os.read(descriptor, 65_536)
    return data


def read_all(descriptor: int) -> bytes:
    """Read to the end."""
    return b"".join(iter(lambda: os.read(descriptor, 65_536), b""))


def reported(data: bytes) -> int:
    """Return how many lines the writer says were lost."""
    return sum(json.loads(one)["count"] for one in data.splitlines() if one.startswith(b"{"))


def numbers(data: bytes) -> list[int]:
    """Return the numbers of the lines in the data, without those of the writer's own."""
    return [int(one.split()[0]) for one in data.splitlines() if not one.startswith(b"{")]


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how much is written at once."""
    noted: list[int] = []
    write = os.write

    def noting(descriptor: int, data: memoryview) -> int:
        noted.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", noting)
    return noted


class TestFile:
    """A file that is appended to."""

    def test_lines_are_written_in_their_order(self, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        writer = LogWriter(open_log(path), 10_000)
        for number in range(5_000):
            writer.write(line(number, 100))
        assert writer.close(SECONDS)
        assert path.read_bytes() == b"".join(line(number, 100) for number in range(5_000))
        assert (writer.dropped, writer.errors) == (0, 0)

    def test_a_single_line_is_written_without_another_or_an_end(self) -> None:
        with pipe() as (reading, writing):
            writer = LogWriter(os.dup(writing), 100)
            for number in range(3):
                writer.write(line(number))
                assert read_until(reading, b"\n") == line(number)
            assert writer.close(SECONDS)

    def test_what_is_there_already_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        path.write_bytes(b"before\n")
        writer = LogWriter(open_log(path), 10)
        writer.write(b"after\n")
        assert writer.close(SECONDS)
        assert path.read_bytes() == b"before\nafter\n"

    def test_only_its_owner_can_read_it(self, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        mask = os.umask(0)
        try:
            assert LogWriter(open_log(path), 10).close(SECONDS)
        finally:
            os.umask(mask)
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_file_that_cannot_be_opened_is_said_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            open_log(tmp_path / "none" / "access.log")

    def test_its_descriptor_is_closed(self, tmp_path: Path) -> None:
        before = open_descriptors()
        assert LogWriter(open_log(tmp_path / "access.log"), 10).close(SECONDS)
        assert open_descriptors() == before

    def test_no_child_inherits_it(self, tmp_path: Path) -> None:
        descriptor = open_log(tmp_path / "access.log")
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)

    def test_a_line_longer_than_what_is_written_at_once_is_written(self, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        writer = LogWriter(open_log(path), 10)
        for number in range(3):
            writer.write(line(number, 200_000))
        assert writer.close(SECONDS)
        assert path.read_bytes() == b"".join(line(number, 200_000) for number in range(3))

    def test_half_a_queue_is_urgent(self) -> None:
        with pipe() as (reading, writing):
            writer = LogWriter(os.dup(writing), 10, collect_seconds=PATIENT)
            for number in range(5):
                writer.write(line(number))
            read_until(reading, line(4))
            assert writer.close(SECONDS)

    def test_many_lines_go_out_in_few_pieces(self, tmp_path: Path, sizes: list[int]) -> None:
        writer = LogWriter(open_log(tmp_path / "access.log"), 100_000, collect_seconds=PATIENT)
        for number in range(2_000):
            writer.write(line(number, 100))
        assert writer.close(SECONDS)
        assert sum(sizes) == (tmp_path / "access.log").stat().st_size
        assert len(sizes) == sum(sizes) // 65_536 + 1
        assert max(sizes) <= 65_536

    def test_into_a_pipe_goes_no_more_than_stays_in_one_piece(self, sizes: list[int]) -> None:
        """Other workers may write to the same pipe."""
        with pipe() as (reading, writing):
            writer = LogWriter(os.dup(writing), 10_000, collect_seconds=PATIENT)
            for number in range(300):
                writer.write(line(number, 100))
            _ = writer.close(0.0)
            os.close(writing)
            assert numbers(read_all(reading)) == list(range(300)), "however little the pipe takes at a time"
            assert writer.close(SECONDS)
            assert select.PIPE_BUF - 150 < max(sizes) <= select.PIPE_BUF


class TestSwitch:
    """Another descriptor takes the place of the one before, as for a file that was renamed."""

    def test_what_comes_later_goes_to_the_new_one(self, tmp_path: Path) -> None:
        path, old = tmp_path / "access.log", tmp_path / "access.log.1"
        writer = LogWriter(open_log(path), 10)
        writer.write(line(1))
        path.rename(old)
        writer.switch(open_log(path))
        writer.write(line(2))
        assert writer.close(SECONDS)
        assert path.read_bytes().endswith(line(2))
        assert old.read_bytes() + path.read_bytes() == line(1) + line(2)

    def test_the_old_one_is_closed_at_once(self, tmp_path: Path) -> None:
        path, old = tmp_path / "access.log", tmp_path / "access.log.1"
        writer = LogWriter(open_log(path), 10, collect_seconds=PATIENT)
        path.rename(old)
        writer.switch(open_log(path))
        while any(link.resolve() == old for link in Path("/proc/self/fd").iterdir()):
            os.sched_yield()
        assert writer.close(SECONDS)

    def test_the_last_of_several_is_written_to_and_none_stays_open(self, tmp_path: Path) -> None:
        before = open_descriptors()
        writer = LogWriter(open_log(tmp_path / "0"), 10)
        for number in range(1, 5):
            writer.switch(open_log(tmp_path / str(number)))
        writer.write(line(9))
        assert writer.close(SECONDS)
        assert (tmp_path / "4").read_bytes() == line(9)
        assert open_descriptors() == before

    def test_pieces_are_of_the_size_that_the_new_one_takes_whole(self, tmp_path: Path) -> None:
        with pipe() as (reading, writing):
            writer = LogWriter(open_log(tmp_path / "access.log"), 10)
            writer.switch(os.dup(writing))
            writer.write(line(1))
            assert read_until(reading, b"\n") == line(1)
            assert writer._piece_bytes == select.PIPE_BUF
            assert writer.close(SECONDS)


class TestLoss:
    """More lines than can be written."""

    def test_a_pipe_without_a_reader_delays_no_caller(self) -> None:
        with pipe() as (reading, writing):
            fill(writing)
            writer = LogWriter(os.dup(writing), 100)
            for number in range(1_000):
                writer.write(line(number, 100))
            # The queue holds 100 lines, and 4 KiB may be on their way.
            assert 1_000 - 100 - select.PIPE_BUF // 100 < writer.dropped <= 1_000 - 100
            assert not writer.close(0.01)
            os.close(writing)
            data = read_all(reading)
            assert writer.close(SECONDS)
            arrived = [number for number in numbers(data) if number >= 0]
            assert arrived == list(range(len(arrived)))
            assert reported(data) == writer.dropped == 1_000 - len(arrived)

    def test_the_queue_holds_as_many_lines_as_it_may(self) -> None:
        with pipe() as (reading, writing):
            fill(writing)
            writer = LogWriter(os.dup(writing), 100)
            writer.write(line(0))
            while writer._queue:
                os.sched_yield()
            for number in range(1, 101):
                writer.write(line(number))
            assert writer.dropped == 0
            writer.write(line(101))
            assert writer.dropped == 1
            data = read_until(reading, b'"log_lines_lost"')
            assert writer.close(SECONDS)
            os.close(writing)
            assert numbers(data + read_all(reading))[-101:] == list(range(101))

    def test_a_report_says_what_was_lost_since_the_last_one(self) -> None:
        with pipe() as (reading, writing):
            data = b""
            writer = LogWriter(os.dup(writing), 1)
            for _ in range(2):
                fill(writing)
                for number in range(100):
                    writer.write(line(number))
                data += read_until(reading, b'"log_lines_lost"')
            assert writer.close(SECONDS)
            os.close(writing)
            data += read_all(reading)
            arrived = [number for number in numbers(data) if number >= 0]
            assert reported(data) == writer.dropped == 200 - len(arrived)

    def test_a_report_has_a_time(self) -> None:
        with pipe() as (reading, writing):
            fill(writing)
            writer = LogWriter(os.dup(writing), 1)
            for number in range(100):
                writer.write(line(number))
            data = read_until(reading, b'"log_lines_lost"')
            assert writer.close(SECONDS)
            report = next(json.loads(one) for one in data.splitlines() if one.startswith(b"{"))
            now = datetime.now(UTC)  # noqa: TID251 - what the writer says is compared with it
            assert abs(datetime.fromisoformat(report["time"]) - now) < timedelta(minutes=5)

    def test_a_pipe_whose_reader_went_away_only_counts(self) -> None:
        with pipe() as (reading, writing):
            os.close(reading)
            writer = LogWriter(os.dup(writing), 100)
            for number in range(10):
                writer.write(line(number))
            assert writer.close(SECONDS)
            assert (writer.dropped, writer.errors > 0) == (0, True)

    def test_a_full_disk_only_counts(self) -> None:
        writer = LogWriter(open_log(Path("/dev/full")), 100)
        for number in range(10):
            writer.write(line(number))
        assert writer.close(SECONDS)
        assert (writer.dropped, writer.unwritten, writer.errors > 0) == (0, 10, True)

    def test_a_line_that_was_cut_by_a_full_disk_does_not_spoil_the_next(self, tmp_path: Path) -> None:
        path = tmp_path / "access.log"
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        lines = [line(number, 1_000) for number in range(3)]
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, limits[1]))
            # Half of the queue is urgent.
            writer = LogWriter(open_log(path), 2 * len(lines))
            for one in lines:
                writer.write(one)
            while writer.unwritten < 2:
                os.sched_yield()
            writer.write(line(8))
            while writer.unwritten < 3:
                os.sched_yield()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)
        writer.write(line(9))
        assert writer.close(SECONDS)
        first, torn, *rest = path.read_bytes().splitlines(keepends=True)
        assert first == lines[0]
        assert torn == lines[1][: 1_500 - len(first)] + b"\n"
        assert numbers(b"".join(rest)) == [9]
        assert reported(b"".join(rest)) == writer.unwritten == 3

    def test_a_descriptor_that_does_not_block_is_waited_for(self) -> None:
        with pipe() as (reading, writing):
            os.set_blocking(writing, False)
            writer = LogWriter(os.dup(writing), 10_000)
            for number in range(2_000):
                writer.write(line(number, 100))
            data = read_until(reading, line(1_999, 100))
            assert numbers(data) == list(range(2_000))
            assert writer.close(SECONDS)
            assert (writer.dropped, writer.errors) == (0, 0)
