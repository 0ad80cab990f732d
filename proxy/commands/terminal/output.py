"""The standard output of commands. If it cannot be written, the exit status must not look like an
answer.

Without this, a full disk or a reader that has gone (`| head`) ends a command with a traceback, or
with status 1, which means "found something". Errors of standard output have a class of their own
here, so that no command mistakes them for errors of a file, token or socket.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

OUTPUT_LOST: Final = os.EX_IOERR
"""Exit status if standard output is lost (EX_IOERR of sysexits.h: 74)."""


class OutputLost(Exception):
    """Standard output could not be written. `reason` is empty if the reader has gone."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Descriptor(FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise OutputLost("") from None
        except OSError as error:
            raise OutputLost(error.strerror or str(error)) from None


@contextmanager
def watched_output() -> Iterator[None]:
    """Run a command. If its output is lost, exit with `OUTPUT_LOST`; say so on standard error
    unless the reader has gone."""
    original = sys.__stdout__
    if original is None or sys.stdout is not original:  # closed, or a test captures it
        yield
        return
    sys.stdout = _watched(original)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OutputLost as error:
        # the buffer is flushed again at the exit: /dev/null takes it without an error
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), original.fileno())
        if error.reason:
            sys.stderr.write(f"plexigate: standard output could not be written: {error.reason}\n")
        raise SystemExit(OUTPUT_LOST) from None


def _watched(stream: TextIO) -> TextIO:
    return TextIOWrapper(
        BufferedWriter(_Descriptor(stream.fileno(), "w", closefd=False)),
        stream.encoding,
        stream.errors,
        line_buffering=stream.isatty(),
    )
