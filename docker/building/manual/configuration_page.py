"""plexigate.toml(5), made from the example that explains every key."""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from docker.building.manual import roff
from docker.building.manual.pages import MANUAL

_HEADER: Final = re.compile(r"(?:# )?(\[\[?[A-Za-z0-9_.-]+\]\]?)$")
_KEY: Final = re.compile(r"(?:# )?[A-Za-z0-9_\"-]+ = ")
_RULE: Final = re.compile(r"# --- .+$")
_ABOUT: Final = (
    "The configuration of plexigate(1), in TOML. Relative paths start at the directory of the file.",
    "plexigate check FILE reports everything that is wrong with a file: with line, what was found, and what is "
    "allowed. plexigate reload makes a running proxy take a changed file.",
    "This page has every key in the order of the example. A key with # before it has no default: without it, the "
    "proxy behaves as its text says. Another key is required, or is shown with its default.",
)


def configuration_page(example: str, date: str, version: str) -> str:
    """The page; `example` is the text of example.toml."""
    lines = [
        roff.title("plexigate.toml", 5, date, f"Plexigate {version}", MANUAL),
        roff.heading("NAME"),
        "plexigate.toml \\- the configuration of Plexigate",
        roff.heading("DESCRIPTION"),
        *roff.paragraphs(_ABOUT),
        roff.heading("KEYS"),
        *_blocks(example),
        roff.heading("FILES"),
        *roff.item(roff.bold("/etc/plexigate/plexigate.toml"), ["The configuration of the service."]),
        roff.heading("SEE ALSO"),
        f"{roff.bold('plexigate')}(1),\n{roff.bold('plexigate-check')}(1),\n{roff.bold('plexigate-reload')}(1)",
    ]
    return roff.page(lines)


def _blocks(example: str) -> Iterator[str]:
    """Parts of the example that empty lines divide; the first one is its introduction.

    In the example the text of a key comes first. In a manual page the key stands above its text,
    because a reader looks for its name.
    """
    for block in re.split(r"\n\s*\n", example.strip())[1:]:
        lines = [line for line in block.splitlines() if _RULE.match(line) is None]
        # A comment before a key that is commented out can itself look like one.
        start = next((number for number, line in enumerate(lines) if _is_code(line)), len(lines))
        header = next((found[1] for line in lines if (found := _HEADER.match(line))), None)
        if header is not None:
            yield roff.subheading(header)
        code = [line for line in lines[start:] if _HEADER.match(line) is None]
        text = list(_text(lines[:start]))
        if code:
            yield from roff.term_lines(code)
            text = roff.indented(text)
        yield from text


def _is_code(line: str) -> bool:
    return not line.startswith("#") or _KEY.match(line) is not None or _HEADER.match(line) is not None


def _text(comment: list[str]) -> Iterator[str]:
    """Running text as paragraphs; lines that are set in stand as they are."""
    lines = [one.removeprefix("#").removeprefix(" ") for one in comment]
    for is_set_in, group in groupby(lines, key=lambda line: line.startswith("  ")):
        if is_set_in:
            yield from roff.literal(one.removeprefix("  ") for one in group)
        else:
            yield from [".PP", *roff.running(" ".join(group))]
