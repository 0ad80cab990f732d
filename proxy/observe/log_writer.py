"""Writes log lines to a file descriptor without the loop ever waiting for it.

The loop's side appends to a bounded queue. A daemon thread collects lines for a moment and writes them in one piece; when it
cannot keep up (a slow disk, a pipe that nobody reads), new lines are dropped, counted, and the count is logged once there is
room. An error of the file is counted too: a proxy does not end because its log cannot be written.
"""

import os
import threading
from collections import deque
from pathlib import Path
from typing import Final

# Lines of a tenth of a second go out together: at 20,000 requests a second one write in place of 2,000.
_COLLECT_SECONDS: Final = 0.1


class LogWriter:
    """A queue, a thread, a file descriptor."""

    def __init__(self, target: Path | int, queue_lines: int) -> None:
        """Write to a file that is appended to (made with mode 0600), or to an open descriptor, which is left open.

        Raises `OSError` when the file cannot be opened.
        """
        self._descriptor = target if isinstance(target, int) else _opened(target)
        self._queue_lines = queue_lines
        self._queue: deque[bytes] = deque()
        self._has_lines = threading.Event()
        self._is_closing = threading.Event()
        self.dropped = 0
        self._reported = 0
        self.errors = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue a finished line; drop and count it when the queue is full. Called by the loop only."""
        queue = self._queue
        if len(queue) >= self._queue_lines:
            self.dropped += 1
            return
        queue.append(line)
        if len(queue) == 1:
            self._has_lines.set()

    def close(self, seconds: float) -> None:
        """Write what is queued, for `seconds` at most."""
        self._is_closing.set()
        self._has_lines.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            self._has_lines.wait()
            self._is_closing.wait(_COLLECT_SECONDS)
            self._has_lines.clear()
            while self._queue:
                self._write_all(self._batch())
            if self._is_closing.is_set() and not self._queue:
                return

    def _batch(self) -> bytes:
        """Everything queued now, in one piece. `popleft` and `append` of a deque are safe between two threads."""
        lines = [self._queue.popleft() for _ in range(len(self._queue))]
        if self.dropped != self._reported:
            lines.append(b'{"event":"log_lines_dropped","count":%d}\n' % (self.dropped - self._reported))
            self._reported = self.dropped
        return b"".join(lines)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError:
                self.errors += 1
                return


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
