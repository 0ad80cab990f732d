"""Parts of answers that wait for slow clients in a file: without a name, encrypted, in pieces.

Theory of operation. The file has no name, so the system frees it with the process, however that
ends. What stands in it came out of TLS, or goes into it, so it is encrypted: AES-256-GCM by a key
of this process, which is nowhere else. No piece has the number of another one, which is the nonce.

A thread encrypts and writes, because a disk may take its time. It does one thing after the other,
so a piece that is written behind a truncation is not lost by it. Until a piece is in the file, it
is in memory. If the thread falls behind by more than `_UNWRITTEN_BYTES`, there is no room. The same
goes for a while after an error, as of a full disk: what could not be written stays in memory.
"""

import errno
import heapq
import os
import secrets
import tempfile
import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.net.in_thread import tell_loop

SLOT_BYTES: Final = 65_536
"""What a piece takes in the file, also if it is shorter."""
_TAG_BYTES: Final = 16
PIECE_BYTES: Final = SLOT_BYTES - _TAG_BYTES
"""The longest piece."""
# 64 pieces: a disk that is busy for tens of milliseconds is not a reason to pause servers.
_UNWRITTEN_BYTES: Final = 4_194_304
# A disk that was full is tried again after so long.
_PAUSE_SECONDS: Final = 5.0


class Piece:
    """One piece. It is in memory until it is in the file."""

    def __init__(self, data: bytes, slot: int, number: int) -> None:
        self.data = data
        """Empty once it is in the file."""
        self.slot: Final = slot
        self.number: Final = number
        self.sealed_bytes: Final = len(data) + _TAG_BYTES
        self.is_pending = True
        """Whether the thread may write it still."""
        self.is_dropped = False


class _SpoolThread:
    """What the thread does: all of its state but the queue belongs to it."""

    def __init__(self, loop: AbstractEventLoop, descriptor: int, key: bytes) -> None:
        self._loop: Final = loop
        self._descriptor: Final = descriptor
        self._cipher: Final = AESGCM(key)
        self._queue: deque[tuple[Piece, Callable[[Piece, OSError | None], None]] | None] = deque()
        self._changed: Final = threading.Condition()
        self._is_running = False
        self._is_ending = False

    def write(self, piece: Piece, written: Callable[[Piece, OSError | None], None]) -> None:
        """Write a piece; `written` is called on the loop."""
        self._add((piece, written))

    def truncate(self) -> None:
        """Give the file's space back."""
        self._add(None)

    def end(self) -> None:
        """Close the file, and write no more."""
        with self._changed:
            if self._is_running:
                self._is_ending = True
                self._changed.notify()
            else:
                os.close(self._descriptor)

    def _add(self, job: tuple[Piece, Callable[[Piece, OSError | None], None]] | None) -> None:
        with self._changed:
            if not self._is_running:
                self._is_running = True
                # a daemon: it does not keep a process from ending
                threading.Thread(target=self._run, name="spool", daemon=True).start()
            self._queue.append(job)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._is_ending:
                    self._changed.wait()
                if self._is_ending:
                    os.close(self._descriptor)
                    return
                job = self._queue.popleft()
            if job is None:
                os.ftruncate(self._descriptor, 0)
                continue
            piece, written = job
            tell_loop(self._loop, written, piece, self._write(piece))

    def _write(self, piece: Piece) -> OSError | None:
        data = piece.data
        if piece.is_dropped:
            return None
        sealed = memoryview(self._cipher.encrypt(_nonce(piece), data, None))
        at = piece.slot * SLOT_BYTES
        try:
            while sealed:
                count = os.pwrite(self._descriptor, sealed, at)
                sealed, at = sealed[count:], at + count
        except OSError as error:
            return error
        return None

    def read(self, piece: Piece) -> bytes:
        """Read a piece that was written. Raises `OSError`. Called on the loop."""
        sealed = os.pread(self._descriptor, piece.sealed_bytes, piece.slot * SLOT_BYTES)
        try:
            return self._cipher.decrypt(_nonce(piece), sealed, None)
        except InvalidTag as error:
            raise OSError(errno.EIO, "the spool does not have what was written") from error


def _nonce(piece: Piece) -> bytes:
    return piece.number.to_bytes(12, "big")


class Spool:
    """The file of one process."""

    def __init__(self, loop: AbstractEventLoop, clock: Callable[[], float], failed: Callable[[OSError], None]) -> None:
        """It has no file yet, and so no room. `failed` gets an error of the disk."""
        self._loop: Final = loop
        self._clock: Final = clock
        self._failed: Final = failed
        self._writing: _SpoolThread | None = None
        self._key: Final = secrets.token_bytes(32)
        self._free: list[int] = []
        self._slots = 0
        self._used = 0
        self._numbers = 0
        self._in_memory = 0
        self._not_before = 0.0

    def open_in(self, directories: Iterable[str]) -> OSError | None:
        """Make the file in the first directory that takes one, or return the last error."""
        failure = None
        for directory in directories:
            try:
                with tempfile.TemporaryFile(dir=directory, buffering=0) as made:
                    descriptor = os.dup(made.fileno())
            except OSError as error:
                failure = error
            else:
                self._writing = _SpoolThread(self._loop, descriptor, self._key)
                return None
        return failure

    def close(self) -> None:
        """Let go of the file. No answer waits for a piece."""
        thread, self._writing = self._writing, None
        if thread is not None:
            thread.end()

    @property
    def is_open(self) -> bool:
        return self._writing is not None

    @property
    def has_room(self) -> bool:
        """Whether it takes pieces now, as far as the disk is concerned."""
        return self._writing is not None and self._in_memory < _UNWRITTEN_BYTES and self._clock() >= self._not_before

    def put(self, data: bytes) -> Piece:
        """Keep a piece of `PIECE_BYTES` at most, also without room: it is in memory then."""
        thread = self._writing
        assert thread is not None  # it had room once
        if self._free:
            slot = heapq.heappop(self._free)
        else:
            slot, self._slots = self._slots, self._slots + 1
        self._used += 1
        piece = Piece(data, slot, self._numbers)
        self._numbers += 1
        self._in_memory += len(data)
        thread.write(piece, self._written)
        return piece

    def _written(self, piece: Piece, error: OSError | None) -> None:
        piece.is_pending = False
        if piece.is_dropped:
            self._free_slot(piece)
        elif error is None:
            self._in_memory -= len(piece.data)
            piece.data = b""
        elif self._clock() >= self._not_before:
            self._not_before = self._clock() + _PAUSE_SECONDS
            self._failed(error)

    def take(self, piece: Piece) -> bytes:
        """The bytes of a piece, which leaves the spool. Raises `OSError`."""
        thread = self._writing
        assert thread is not None  # the piece was put
        try:
            return piece.data or thread.read(piece)
        finally:
            self.drop(piece)

    def drop(self, piece: Piece) -> None:
        self._in_memory -= len(piece.data)
        piece.is_dropped = True
        if not piece.is_pending:
            self._free_slot(piece)

    def _free_slot(self, piece: Piece) -> None:
        self._used -= 1
        heapq.heappush(self._free, piece.slot)
        if not self._used:
            self._free.clear()
            self._slots = 0
            if self._writing is not None:
                self._writing.truncate()


def spool_directories(environment: str | None) -> tuple[str, ...]:
    """Where temporary files may be: `TMPDIR` alone if it is set, else a disk before memory."""
    return (environment,) if environment else ("/var/tmp", "/tmp")  # noqa: S108 - files without names
