"""Writes log lines to a file descriptor. The event loop never waits for it.

Theory of operation. The loop appends to a bounded queue. A daemon thread collects lines for a
moment and writes them in few pieces. If it cannot keep up (a slow disk, a pipe without a reader),
new lines are dropped. If the file returns an error, the lines of that write are lost, and the proxy
continues. Both losses are counted, and the count is logged once there is room.

There is no lock: `append` and `popleft` of a deque are safe between two threads, and each attribute
is written by one thread only. No wake-up is lost: the thread ends a round only after it has seen
the queue empty, and the line that makes the queue one line long wakes it again.
"""

import json
import os
import select
import stat
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Final

from proxy.observe.events.process import LogLinesLost

# Lines of a tenth of a second go out together: at 20,000 requests a second one write in place of
# 2,000.
COLLECT_SECONDS: Final = 0.1
_PIECE_BYTES: Final = 65_536
_ROOM_MILLISECONDS: Final = 100


class LogWriter:
    """A queue, a thread, a file descriptor."""

    def __init__(self, descriptor: int, queue_lines: int, *, collect_seconds: float = COLLECT_SECONDS) -> None:
        """Write to a descriptor. The writer closes it at its end."""
        self._descriptor = descriptor
        self._piece_bytes = _piece_bytes(self._descriptor)
        self._queue_lines = queue_lines
        self.collect_seconds = collect_seconds
        """How long lines are collected for one write. The lines of several processes in one file
        are out of order by that, and by the time of a write."""
        self._queue: deque[bytes] = deque()
        self._has_lines = threading.Event()
        self._is_urgent = threading.Event()
        self._is_closing = False
        self._next: deque[int] = deque()
        # Whether the last write ended within a line.
        self._is_torn = False
        self._reported = 0
        self.dropped = 0
        """Lines that found the queue full."""
        self.unwritten = 0
        """Lines that the file did not take."""
        self.errors = 0
        """Attempts to write that failed."""
        self._writing = threading.Thread(target=self._run, name="log", daemon=True)
        self._writing.start()

    # -- called by the loop

    def write(self, line: bytes) -> None:
        """Queue a finished line; drop and count it when the queue is full."""
        queue = self._queue
        if len(queue) >= self._queue_lines:
            self.dropped += 1
            return
        queue.append(line)
        waiting = len(queue)
        if waiting == 1:
            self._has_lines.set()
        if waiting * 2 >= self._queue_lines:
            self._is_urgent.set()

    def switch(self, descriptor: int) -> None:
        """Write to another descriptor, which the writer closes, as it closes the one before."""
        self._next.append(descriptor)
        self._wake()

    def close(self, seconds: float) -> bool:
        """Write the queue within `seconds`; return whether all was written. It is the last call."""
        self._is_closing = True
        self._wake()
        self._writing.join(seconds)
        return not self._writing.is_alive()

    def _wake(self) -> None:
        self._is_urgent.set()
        self._has_lines.set()

    # -- run by the thread

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._has_lines.wait()
            self._is_urgent.wait(self.collect_seconds)
            # Clear both before reading the queue: a later line sets them again.
            self._has_lines.clear()
            self._is_urgent.clear()
            is_last = self._is_closing
            while self._next:
                os.close(self._descriptor)
                self._descriptor = self._next.popleft()
                self._piece_bytes = _piece_bytes(self._descriptor)
            while self._queue:
                lines = self._piece()
                self.unwritten += self._write_all(b"".join(lines))
                self._report_loss()
        os.close(self._descriptor)

    def _piece(self) -> list[bytes]:
        """Take the lines for one write, at least one."""
        lines = [self._queue.popleft()]
        size = len(lines[0])
        while self._queue and (size := size + len(self._queue[0])) <= self._piece_bytes:
            lines.append(self._queue.popleft())
        return lines

    def _report_loss(self) -> None:
        lost = self.dropped + self.unwritten
        if lost == self._reported:
            return
        now = datetime.fromtimestamp(time.time(), UTC)  # noqa: TID251 - a thread of its own has no `now` to take
        shown = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        facts = {"time": shown, **LogLinesLost(lost - self._reported).as_json()}
        if self._write_all(json.dumps(facts, separators=(",", ":")).encode() + b"\n") == 0:
            self._reported = lost

    def _write_all(self, data: bytes) -> int:
        """Write whole lines; return the number of lines that could not be written."""
        rest = memoryview(b"\n" + data if self._is_torn else data)
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except BlockingIOError:
                # Another process made the shared descriptor non-blocking.
                _wait_for_room(self._descriptor)
                continue
            except OSError:
                self.errors += 1
                return bytes(rest[-len(data) :]).count(b"\n")
            self._is_torn = rest[written - 1] != 0x0A
            rest = rest[written:]
        return 0


def _piece_bytes(descriptor: int) -> int:
    """Bytes to write at once. Several processes may share a pipe: only up to PIPE_BUF a write stays
    in one piece."""
    return select.PIPE_BUF if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else _PIECE_BYTES


def _wait_for_room(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll(_ROOM_MILLISECONDS)
