"""The people in front of the terminal when a sealing key is made or brought back.

Shares go to standard output and nowhere else; everything that is not a secret goes to standard
error.
"""

import getpass
import sys
from typing import Final

import typer

from certs.recovery.shares import Share, SharingScheme
from proxy.commands.hsm.share_lines import share_lines, shares_in

# Clears the screen, then what can be scrolled back to (ECMA-48 8.3.39; 3 is xterm's).
_CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"


class NoTerminal(Exception):
    """Input or output is not a terminal: a share would go to a file or a pipe."""

    def __str__(self) -> str:
        return (
            "standard input or output is not a terminal, and shares would go to a file or a pipe; allow that with --yes"
        )


class NoOutput(Exception):
    """Standard output is closed: the shares would be lost."""

    def __str__(self) -> str:
        return (
            "standard output is closed, so the shares would be lost; no key was made; "
            "allowed: a terminal, or a file or pipe with --yes"
        )


class ConsoleTerminal:
    """A terminal. With `is_sure` it asks no question and clears nothing, so that a program can read
    the shares.
    """

    def __init__(self, *, is_sure: bool) -> None:
        self._is_sure = is_sure
        self._given = shares_in(iter(_line, ""))

    @staticmethod
    def is_one() -> bool:
        """Whether standard input and standard output are both a terminal."""
        return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))

    @staticmethod
    def require_output() -> None:
        """Raise `NoOutput` if standard output was closed at the start: writes would be lost without
        an error.
        """
        if sys.stdout is None:
            raise NoOutput

    def say(self, text: str) -> None:
        """Print a text that is not secret."""
        typer.echo(text, err=True)

    def show(self, share: Share, scheme: SharingScheme) -> None:
        typer.echo("\n".join(share_lines(share, scheme)))
        if not self._is_sure:
            self.say(
                "For one holder only. Write down the words in this order and the number of the share. "
                "Do not photograph or store them."
            )

    def is_written_down(self, share: Share) -> bool:
        """Ask the holder until they answer. Raises `KeyboardInterrupt` if they abort."""
        try:
            return self._is_sure or typer.confirm(f"Has the holder of share {share.number} written it down?", err=True)
        except typer.Abort:
            raise KeyboardInterrupt from None

    def hide(self) -> None:
        if not self._is_sure and sys.stdout.isatty():
            sys.stdout.write(_CLEAR)
            sys.stdout.flush()

    def ask_share(self, question: str) -> str:
        """Ask for the words of a share without echo. Without a terminal, take the next share of
        standard input.
        """
        if sys.stdin is not None and sys.stdin.isatty():
            return getpass.getpass(f"{question} (its words; not shown; an empty line ends): ")
        return next(self._given, "")


def _line() -> str:
    return "" if sys.stdin is None else sys.stdin.readline()
