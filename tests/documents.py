"""What stands in a Markdown document: headings, sections, blocks of code, links.

A block of TOML is a configuration of its own, unless an HTML comment on the line before it names the one that it changes:

    <!-- added to: getting-started.md#the-configuration -->   tables are merged; a key or an array takes the place of the old one
    <!-- in place of: #the-configuration -->                  each table at the top ([identity], [route]) takes the place of the old one
    <!-- fragment -->                                         shown to be read only: it has to be TOML, no more

The name is a file beside the document and the anchor of a heading (this document, where no file is named). It stands for the first
block of TOML in that section, which may be such a change itself.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^ *(`{3,}) *(\S*)")
_HEADING = re.compile(r"^(#{1,6}) +(.+?) *#*$")
_COMMENT = re.compile(r"^<!-- *(.*?) *-->$")
_LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(<?([^()\s>]+)>?(?: +\"[^\"]*\")?\)|<(?:img|a)[^>]* (?:src|href)=\"([^\"]+)\""
)


def anchor(heading: str) -> str:
    """The anchor of a heading, as code hosts make it, and mkdocs.yml asks for."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = unicodedata.normalize("NFC", text).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: its language, its text, the comment on the line before it (empty if there is none)."""

    language: str
    text: str
    line: int
    comment: str


@dataclass(slots=True)
class Section:
    """What stands between a heading and the next one, whatever their levels."""

    title: str
    line: int
    prose: list[tuple[int, str]] = field(default_factory=list)  # lines with their numbers, without tables and blocks
    blocks: list[Block] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """The part of a link behind `#` that leads here."""
        return anchor(self.title)

    @property
    def words(self) -> int:
        """How many words a reader finds here without a heading between them; without code and tables."""
        return sum(len(text.split()) for _, text in self.prose)


@dataclass(frozen=True, slots=True)
class Document:
    """A Markdown file, read."""

    path: Path
    sections: list[Section]
    links: list[tuple[int, str]]  # line, target

    @property
    def blocks(self) -> Iterator[tuple[Section, Block]]:
        """All blocks with their sections, in order."""
        return ((section, block) for section in self.sections for block in section.blocks)

    @property
    def words(self) -> int:
        """Words of the whole document, those of headings and tables included, without blocks of code."""
        text, fence = 0, ""
        for line in self.path.read_text(encoding="utf-8").splitlines():
            found = _FENCE.match(line)
            if found is not None and (not fence or line.strip() == fence):
                fence = "" if fence else found[1]
            elif not fence and _COMMENT.match(line.strip()) is None:
                text += len([word for word in line.split() if re.search(r"\w", word)])
        return text

    def section(self, name: str) -> Section:
        """The section with an anchor. Raises KeyError."""
        for one in self.sections:
            if one.anchor == name:
                return one
        raise KeyError(f"{self.path.name} has no heading #{name}")


def read(path: Path) -> Document:
    """Read a document. A block that is not closed ends with the file."""
    sections, links = [Section("", 1)], list[tuple[int, str]]()
    lines = path.read_text(encoding="utf-8").splitlines()
    number, comment = 0, ""
    while number < len(lines):
        line = lines[number]
        number += 1
        if (fence := _FENCE.match(line)) is not None:
            first = number
            while number < len(lines) and lines[number].strip() != fence[1]:
                number += 1
            indent = len(line) - len(line.lstrip())
            text = "".join(f"{one[indent:]}\n" for one in lines[first:number])
            sections[-1].blocks.append(Block(fence[2], text, first, comment))
            number += 1
        elif (heading := _HEADING.match(line)) is not None:
            sections.append(Section(heading[2], number))
            links += [(number, target) for target in _targets(line)]
        elif (found := _COMMENT.match(line.strip())) is None:
            links += [(number, target) for target in _targets(line)]
            if line.strip() and not line.lstrip().startswith("|"):
                sections[-1].prose.append((number, line))
        if not line.strip():
            continue
        comment = found[1] if (found := _COMMENT.match(line.strip())) is not None else ""
    return Document(path, sections, links)


def _targets(line: str) -> list[str]:
    """Where the links of a line lead, those in `code` left out."""
    return [one or other for one, other in _LINK.findall(re.sub(r"`[^`]*`", "", line))]
