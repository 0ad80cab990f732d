"""What a document tells a reader to type, in its order: commands of consoles with what they print, packages, files. Pure.

The words around the commands are for people. What they ask for beside the commands stands here as rules: a command of FOREGROUND stays in
its terminal, so the next one is typed into another terminal, which gets the same PATH and directory first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.documents import Document, Section, read

FOREGROUND = ("./dev run", "plexigate run")
"""What such a command starts serves until Ctrl-C."""
_ENVIRONMENT = ("export ", "cd ")
"""What another terminal needs as well."""
_PACKAGES = re.compile(r"`(apt-get install [^`]+)`")


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and the lines that the document shows below it."""

    text: str
    line: int
    printed: tuple[str, ...] = ()

    @property
    def is_foreground(self) -> bool:
        """It serves until Ctrl-C."""
        return any(part.strip().startswith(FOREGROUND) for part in self.text.split("&&"))

    @property
    def status(self) -> int:
        """The exit status that a reader sees: that of curl where its error is shown, else 0."""
        found = [re.match(r"curl: \((\d+)\)", line) for line in self.printed]
        return next((int(one[1]) for one in found if one is not None), 0)

    @property
    def is_environment(self) -> bool:
        """The next terminal needs it, too."""
        return self.text.startswith(_ENVIRONMENT)

    def missing_in(self, output: str) -> str | None:
        """The first line that the document shows and the output does not have, or None.

        Numbers may differ, `...` stands for anything, and white space for white space.
        """
        start = 0
        for line in self.printed:
            found = re.compile(_pattern(line)).search(output, start)
            if found is None:
                return line
            start = found.end()
        return None


@dataclass(frozen=True, slots=True)
class Packages:
    """A command that root types first: what the document says has to be installed."""

    text: str


@dataclass(frozen=True, slots=True)
class File:
    """A configuration to save. One that is `added` takes the place of the tables that it names."""

    text: str
    is_added: bool = False

    def over(self, former: str) -> str:
        """The file after it was saved."""
        if not self.is_added:
            return self.text
        added = _tables(self.text)
        kept = [table for table in _tables(former) if _header(table) not in map(_header, added)]
        return "".join(f"{table.rstrip()}\n\n" for table in [*added, *kept])


def _tables(text: str) -> list[str]:
    return [part for part in re.split(r"^(?=\[)", text, flags=re.MULTILINE) if part.strip()]


def _header(table: str) -> str:
    return table.partition("\n")[0]


Step = Command | Packages | File


@dataclass(frozen=True, slots=True)
class Walk:
    """The steps of one section, with its title."""

    title: str
    steps: list[Step] = field(default_factory=list)


def walks(path: Path) -> list[Walk]:
    """The sections of a document that have steps."""
    found = [Walk(section.title, list(steps(section))) for section in read(path).sections]
    return [walk for walk in found if walk.steps]


def steps(section: Section) -> Iterator[Step]:
    """Packages first, as no document asks for them behind a command that needs them; then blocks."""
    prose = " ".join(line.strip() for _, line in section.prose)
    yield from (Packages(found[1]) for found in _PACKAGES.finditer(prose))
    for block in section.blocks:
        if block.language == "toml":
            yield File(block.text, block.comment.startswith("added to: "))
        elif block.language == "sh":
            yield from (Command(line, block.line) for line in block.text.splitlines() if line)
        elif block.language == "console":
            yield from _typed(block.text, block.line)


def _typed(text: str, line: int) -> Iterator[Command]:
    for part in re.split(r"^(?=\$ )", text, flags=re.MULTILINE):
        if found := re.match(r"\$ ((?:.*\\\n)*.*)\n?", part):
            yield Command(found[1], line, tuple(part[found.end() :].splitlines()))


def _pattern(line: str) -> str:
    words = [re.sub(r"\d+(?:\\?\.\d+)*", r"\\d+(?:\\.\\d+)*", re.escape(word)) for word in line.split()]
    return r"\s+".join(words).replace(r"\.\.\.", r"[\s\S]*?")


def commands_of(document: Document, anchor: str) -> list[Command]:
    """The commands of one section. Raises KeyError."""
    return [step for step in steps(document.section(anchor)) if isinstance(step, Command)]
