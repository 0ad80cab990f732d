"""Shares as text: one per line, or in columns below a heading, as `plexigate hsm init --yes` writes
them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from certs.recovery.shares import WORDS, Share, SharingScheme

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
    """Yield the words of each share, in order, as soon as its last line was read.

    Empty lines and headings are skipped. Numbered words are put in the order of their numbers. Any
    other line is taken as a share; the caller reports what is wrong with it.
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
