"""The people in front of the terminal when a sealing key is made or brought back.

Shares go to standard output and nowhere else; everything that is not a secret goes to standard
error.
"""

import getpass
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

import typer

from certs.recovery.shares import WORDS, Share, SharingScheme

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
    """A terminal. `is_sure`: it asks and clears nothing, so that a program reads the shares."""

    def __init__(self, *, is_sure: bool) -> None:
        self._is_sure = is_sure
        self._given = shares_in(iter(_line, ""))

    @staticmethod
    def is_one() -> bool:
        """Whether standard input and standard output are both a terminal."""
        return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))

    @staticmethod
    def require_output() -> None:
        """Raise `NoOutput` if standard output is closed: writes would be lost silently."""
        if sys.stdout is None:
            raise NoOutput

    def say(self, text: str) -> None:
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
        """Ask for a share without echo; without a terminal take the next of standard input."""
        if sys.stdin is not None and sys.stdin.isatty():
            return getpass.getpass(f"{question} (its words; not shown; an empty line ends): ")
        return next(self._given, "")


def _line() -> str:
    return "" if sys.stdin is None else sys.stdin.readline()


_COLUMNS: Final = 3
_HEADING: Final = re.compile(r"Share \d+ of \d+; any \d+ of them bring the key back\.")
_CELL: Final = re.compile(r"(\d+)\.\s*([A-Za-z]+)")
_ROW: Final = re.compile(rf"(?:{_CELL.pattern}\s*)+")


def share_lines(share: Share, scheme: SharingScheme) -> Iterator[str]:
    """A share for people: its number, and its words with their numbers."""
    rows = -(-len(share.words) // _COLUMNS)
    yield from ("", f"Share {share.number} of {scheme.count}; any {scheme.threshold} of them bring the key back.", "")
    for row in range(rows):
        cells = ((place + 1, share.words[place]) for place in range(row, len(share.words), rows))
        yield "".join(f"  {number:2}. {word:<10}" for number, word in cells).rstrip()
    yield ""


def shares_in(lines: Iterable[str]) -> Iterator[str]:
    """Yield the words of each share as soon as it was read. Numbered words are put in order, empty
    lines and headings skipped; other lines are shares.
    """
    words: dict[int, str] = {}
    for line in map(str.strip, lines):
        cells = {int(number): word for number, word in _CELL.findall(line)} if _ROW.fullmatch(line) else {}
        if words and not (cells and words.keys().isdisjoint(cells)):
            yield _in_order(words)
            words = {}
        if not cells:
            if line and not _HEADING.fullmatch(line):
                yield line
            continue
        words |= cells
        if len(words) == WORDS:
            yield _in_order(words)
            words = {}
    if words:
        yield _in_order(words)


def _in_order(words: dict[int, str]) -> str:
    return " ".join(words[number] for number in sorted(words))
