"""Docstrings and comments can be read at night: they name who is meant, begin with what is, and are not too wide."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.english import NEGATION, RIDDLES, WIDEST_PROSE

ROOT = Path(__file__).parents[1]
FOREIGN = {
    # of other authors, in one line
    Path("proxy/payload/clients/javascript/payload-libraries.js"),
    # in its style sheet "#" begins a selector and not a comment
    Path("docker/demo/chat.html"),
}
READ = {".py", ".toml", ".sh", ".service", ".socket", ".conf", ".yaml", ".html", ".js", ".logrotate"}


def sources() -> list[Path]:
    """All texts of the product, relative to the root."""
    found = [ROOT / "dev", ROOT / "docker/Dockerfile"]
    for package in ("proxy", "certs", "config", "docker"):
        found += [path for path in (ROOT / package).rglob("*") if path.suffix in READ]
    return sorted({path.relative_to(ROOT) for path in found} - FOREIGN)


@cache
def text_of(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def riddles(path: Path) -> Iterator[str]:
    return (f"{path}:{number}: {line.strip()}" for number, line in numbered(path) if RIDDLES.search(line))


def numbered(path: Path) -> Iterator[tuple[int, str]]:
    return enumerate(text_of(path).splitlines(), 1)


def docstrings(path: Path) -> Iterator[ast.Constant]:
    """The docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(ast.parse(text_of(path))):
        for one in getattr(node, "body", []) if isinstance(getattr(node, "body", []), list) else []:
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str):
                yield one.value


def negations(path: Path) -> Iterator[str]:
    found = docstrings(path) if path.suffix == ".py" else []
    return (f"{path}:{one.lineno}: {one.value!r}" for one in found if NEGATION.match(str(one.value)))


def prose(path: Path) -> Iterator[int]:
    """The numbers of the lines that are prose: docstrings, and comments that have a line of their own."""
    if path.suffix != ".py":
        yield from (number for number, line in numbered(path) if re.match(r"\s*(#|//)", line))
        return
    for one in docstrings(path):
        yield from range(one.lineno, (one.end_lineno or one.lineno) + 1)
    for token in tokenize.generate_tokens(io.StringIO(text_of(path)).readline):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            yield token.start[0]


def wide(path: Path) -> Iterator[str]:
    """Prose that is too wide; a line that is one long word, such as a link, cannot be shorter."""
    lines = text_of(path).splitlines()
    for number in prose(path):
        line = lines[number - 1]
        if len(line) > WIDEST_PROSE and len(line.strip(" #").split()) > 1:
            yield f"{path}:{number}: {line.strip()}"


@pytest.mark.parametrize("check", [riddles, negations, wide])
def test_prose_can_be_read(check: Callable[[Path], Iterator[str]]) -> None:
    assert [one for path in sources() for one in check(path)] == []
