"""Copies checkpoints to the system's journal, where an attacker who can write the log cannot change
them.

With systemd, a line that is sent to /dev/log is in the journal, and the kernel adds the identity of
the sender. If the journal is forwarded or sealed (`journalctl --setup-keys`), even root of this
machine cannot change it unnoticed.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Final, Protocol, TextIO

from certs.audit.checkpoint import MARK

SYSLOG: Final = Path("/dev/log")
"""The socket of syslog, which systemd-journald listens on (RFC 3164 as spoken locally)."""

_PRIORITY: Final = 10 * 8 + 5  # facility authpriv, severity notice (RFC 5424 6.2.1)


class Journal(Protocol):
    """Takes a line of text to keep."""

    def send(self, text: str) -> None:
        """Keep one line; never raises and never waits for long, as the log continues without it."""


class StreamJournal:
    """Writes to standard error, which a service manager or a container runtime keeps."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def send(self, text: str) -> None:
        try:
            print(text, file=self._stream or sys.stderr, flush=True)
        except (OSError, ValueError):  # ValueError: closed
            return


class NoteJournal(StreamJournal):
    """Tells the operator that no journal has taken a checkpoint, and where it is; not what it says,
    which is long and for programs.
    """

    def send(self, text: str) -> None:
        """Write one short line; what is not a checkpoint as it is."""
        if text.startswith(MARK):
            text = (
                f"no journal has the audit checkpoint, as nothing listens at {SYSLOG}: keep a copy of the log elsewhere"
            )
        super().send(text)


class SyslogJournal:
    """Sends to the socket of syslog, and to `fallback` what the socket does not take."""

    def __init__(self, path: Path = SYSLOG, fallback: Journal | None = None) -> None:
        self._path = path
        self._fallback = fallback or StreamJournal()

    def send(self, text: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                # a full queue of the daemon must not stop the operation on the key
                sender.settimeout(0)
                sender.sendto(f"<{_PRIORITY}>plexigate[{os.getpid()}]: {text}".encode(), str(self._path))
        except OSError:
            self._fallback.send(text)
