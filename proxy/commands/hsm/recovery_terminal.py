"""The people in front of the terminal when a sealing key is made or brought back.

Shares go to standard output and nowhere else; everything that is no secret goes to standard error.
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
    """Nobody is there to see a share, or it would go to a file."""

    def __str__(self) -> str:
        return "no terminal here: the shares would be written to a file or a pipe; --yes if that is meant"


class NoOutput(Exception):
    """Shares would be written to nowhere."""

    def __str__(self) -> str:
        return "standard output is closed, so nobody would see the shares: no key was made; allowed: a terminal, or a file or pipe with --yes"


class ConsoleTerminal:
    """A terminal; with `is_sure` nobody is asked and nothing is cleared, so that a program can take the shares."""

    def __init__(self, *, is_sure: bool) -> None:
        self._is_sure = is_sure
        self._given = shares_in(iter(_line, ""))

    @staticmethod
    def is_one() -> bool:
        """Whether there is somebody to ask, and the shares are shown to them and not written to a file."""
        return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))

    @staticmethod
    def require_output() -> None:
        """Raises `NoOutput` where standard output was closed at our start: what is written to it then is lost without an error."""
        if sys.stdout is None:
            raise NoOutput

    def say(self, text: str) -> None:
        """Tell something that is no secret."""
        typer.echo(text, err=True)

    def show(self, share: Share, scheme: SharingScheme) -> None:
        """Show a share to its holder alone."""
        typer.echo("\n".join(share_lines(share, scheme)))
        if not self._is_sure:
            self.say(
                "For one holder alone. Write the words down in this order, with the number of the share; no photo, no file."
            )

    def is_written_down(self, share: Share) -> bool:
        """Ask the holder until they answer; raises `KeyboardInterrupt` where they end it instead."""
        try:
            return self._is_sure or typer.confirm(f"Has the holder of share {share.number} written it down?", err=True)
        except typer.Abort:
            raise KeyboardInterrupt from None

    def hide(self) -> None:
        """Clear the screen."""
        if not self._is_sure and sys.stdout.isatty():
            sys.stdout.write(_CLEAR)
            sys.stdout.flush()

    def ask_share(self, question: str) -> str:
        """Ask for the words of a share; what is typed is not shown. Without a terminal the next one of standard input is taken."""
        if sys.stdin is not None and sys.stdin.isatty():
            return getpass.getpass(f"{question} (its words; not shown; Enter alone ends): ")
        return next(self._given, "")


def _line() -> str:
    return "" if sys.stdin is None else sys.stdin.readline()
