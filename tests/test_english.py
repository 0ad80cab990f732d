"""Docstrings and comments can be read at night: they name who is meant, begin with what is, and are not too wide."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from tests import syntax
from tests.english import NEGATION, RIDDLES, WIDEST_PROSE, dialect

ROOT = Path(__file__).parents[1]
FOREIGN = {
    # of other authors, in one line
    Path("proxy/payload/clients/javascript/payload-libraries.js"),
    # in its style sheet "#" begins a selector and not a comment
    Path("docker/demo/chat.html"),
}
SHORT = 40
"""Characters. A docstring that is shorter seldom says more than a name."""
MOST_SHORT = 419
"""How many such docstrings the functions of the product may have: lower it when some go."""
# In docstrings about what others define.
FOREIGN_NAMES = {"SECURITY.md", "TypeAdapter", "UnrecognizedChallenge", "PySSLContext", "PySSLSocket", "PySSLMemoryBIO"}
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
    for node in syntax.nodes(syntax.tree(path)):
        for one in getattr(node, "body", []) if isinstance(getattr(node, "body", []), list) else []:
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str):
                yield one.value


def negations(path: Path) -> Iterator[str]:
    found = docstrings(path) if path.suffix == ".py" else []
    return (f"{path}:{one.lineno}: {one.value!r}" for one in found if NEGATION.match(str(one.value)))


def dialects(path: Path) -> Iterator[str]:
    """Words of our own: in a module in docstrings, comments and messages, elsewhere anywhere."""
    if path.suffix != ".py":
        texts = [text_of(path)]
    else:
        nodes = syntax.nodes(syntax.tree(path))
        texts = [one.value for one in nodes if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        texts = [text for text in texts if " " in text]
        tokens = tokenize.generate_tokens(io.StringIO(text_of(path)).readline)
        texts.append("\n".join(one.string for one in tokens if one.type == tokenize.COMMENT))
    return (f"{path}: {word}" for text in texts for word in dialect(text))


def short(path: Path) -> Iterator[ast.Constant]:
    """Docstrings of functions and methods, of at most `SHORT` characters."""
    for node in syntax.nodes(syntax.tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            said = node.body[0].value if isinstance(node.body[0], ast.Expr) else None
            if isinstance(said, ast.Constant) and isinstance(said.value, str) and len(said.value) <= SHORT:
                yield said


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


@pytest.mark.parametrize("check", [riddles, negations, wide, dialects])
def test_prose_can_be_read(check: Callable[[Path], Iterator[str]]) -> None:
    assert [one for path in sources() for one in check(path)] == []


def test_a_docstring_says_more_than_a_name() -> None:
    """One like "Begin." of `begin` goes; one that gives meaning, units or errors is longer, or needs no more words."""
    found = [one for path in sources() if path.suffix == ".py" for one in short(path)]
    assert len(found) <= MOST_SHORT, "a docstring that repeats a name goes"


def test_docstrings_name_what_there_is() -> None:
    """`Class`, `Class.member` and `module.Class` in docstrings: what was renamed or deleted is not named any more."""
    texts = {path: text_of(path) for path in sources() if path.suffix == ".py"}
    words = {path: set(re.findall(r"\w+", re.sub(r"`[^`\n]*`", "", text))) for path, text in texts.items()}
    everywhere = set().union(*words.values())
    by_name: dict[str, set[str]] = {}
    for path in texts:
        by_name.setdefault(path.parent.name if path.stem == "__init__" else path.stem, set()).update(words[path])
    gone = []
    for path in texts:
        for one in docstrings(path):
            for name in re.findall(
                r"`((?:[a-z_]\w*\.)*[A-Z][a-z]+[A-Z]\w+(?:\.\w+)*|(?:[a-z_]\w*\.)+[A-Z]\w+|[A-Z]\w+\.[a-z_]\w+)`",
                str(one.value),
            ):
                parts = name.split(".")
                holders = [by_name[part] for part in parts[:-1] if part in by_name]
                known = set().union(*holders) if holders else everywhere
                if name not in FOREIGN_NAMES and not (parts[-1] in known and everywhere >= set(parts) - set(by_name)):
                    gone.append(f"{path}:{one.lineno}: {name}")
    assert gone == []


def test_modules_in_docstrings_are_in_the_rooms_that_are_named() -> None:
    """`room.module`: what has moved is named where it is now. A member of a module and a key have a dot too."""
    modules = [path.with_suffix("") for path in sources() if path.suffix == ".py"]
    inside: dict[str, set[str]] = {}
    for module in modules:
        for room, name in pairwise(module.parts):
            inside.setdefault(room, set()).add(name)
        inside.setdefault(module.name, set()).update(re.findall(r"\w+", text_of(module.with_suffix(".py"))))
    keys = re.findall(
        r"^(?:# ?)?[\[\w.]*?(\w+)(?:\.NAME)?(?: =|\])", text_of(Path("config/example.toml")), re.MULTILINE
    )
    others = {*keys, "cnf", "json", "org", "sealed", "sock"}
    gone = [
        f"{module}:{one.lineno}: {name}"
        for module in modules
        for one in docstrings(module.with_suffix(".py"))
        for name in re.findall(r"`([a-z_]\w*(?:\.[A-Za-z_]\w*)+)`", str(one.value))
        if (parts := name.split("."))[0] in inside and not {parts[1], parts[-1]} & (inside[parts[0]] | others)
    ]
    assert gone == []


def test_the_glossary_is_short_and_in_order() -> None:
    """One word for one thing: who adds the 61st term takes another one out."""
    _, glossary = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("### Glossary\n")
    terms = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", glossary.split("\n## ")[0], re.MULTILINE)[2:]
    assert 40 < len(terms) <= 60
    assert terms == sorted(set(terms))
