"""The language of manual pages: man(7), as man-db and mandoc read it."""

import re
from collections.abc import Iterable
from textwrap import wrap
from typing import Final

_WIDTH: Final = 78
_SENTENCE_END: Final = re.compile(r"(?<=[.!?]) (?=[A-Z])")


def page(lines: Iterable[str]) -> str:
    """The text of a page. A heading begins a paragraph, so no other one begins right after it."""
    kept: list[str] = []
    for line in lines:
        if line != ".PP" or not kept[-1].startswith((".SH", ".SS")):
            kept.append(line)
    return "\n".join(kept) + "\n"


def title(name: str, section: int, date: str, source: str, manual: str) -> str:
    """The first line of a page. `date` is in the form of ISO 8601."""
    return f'.TH {name.upper()} {section} "{date}" "{source}" "{manual}"'


def heading(text: str) -> str:
    """The heading of a section."""
    return f'.SH "{escaped(text)}"'


def subheading(text: str) -> str:
    """The heading of a part of a section."""
    return f'.SS "{escaped(text)}"'


def paragraphs(texts: Iterable[str]) -> list[str]:
    """Paragraphs of running text."""
    lines = []
    for text in texts:
        lines += [".PP", *running(text)]
    return lines


def item(term: str, texts: Iterable[str]) -> list[str]:
    """A term and what it means. `term` is marked up already."""
    lines = [".TP", term]
    for number, text in enumerate(texts):
        lines += [".IP"] * (number > 0) + running(text)
    return lines


def literal(lines: Iterable[str]) -> list[str]:
    """Lines that stand as they are: examples and tables."""
    return [".PP", ".nf", ".RS 4", *map(escaped, lines), ".RE", ".fi"]


def term_lines(lines: Iterable[str]) -> list[str]:
    """Lines that stand as they are, in bold: what the text below them is about."""
    return [".PP", ".nf", *map(bold, lines), ".fi"]


def indented(lines: Iterable[str]) -> list[str]:
    """Text that belongs to the term above it."""
    kept = list(lines)
    return [".RS 4", *(kept[1:] if kept[:1] == [".PP"] else kept), ".RE"] if kept else []


def bold(text: str) -> str:
    """What is typed as it stands."""
    return f"\\fB{escaped(text)}\\fR"


def italic(text: str) -> str:
    """What something else stands for."""
    return f"\\fI{escaped(text)}\\fR"


def running(text: str) -> list[str]:
    """Text that is filled: each sentence begins a line, as the tools ask for it."""
    lines = []
    for sentence in _SENTENCE_END.split(text):
        lines += wrap(escaped(sentence), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return [f"\\&{line}" if line.startswith(".") else line for line in lines]


def escaped(text: str) -> str:
    """Text in which nothing is a command of roff, and a hyphen is one that can be copied."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq")
    plain = plain.replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
    return f"\\&{plain}" if plain.startswith(".") else plain
