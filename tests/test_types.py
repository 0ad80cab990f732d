"""Types of documents: few tables have none, and what examples ask for is in them."""

import ast
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from certs.hsm.targets import ReportDocument
from proxy.api.certificates import CertificateRow
from proxy.api.commands import RingsDocument
from proxy.api.status import StatusDocument
from proxy.doctor.report import DoctorDocument
from tests import house, syntax

# Messages on pipes and channels, the answers of others, configurations before they are judged, and
# lines of the log. What has known keys is a dataclass or a TypedDict.
MOST_UNTYPED_TABLES = 60
ROOT = Path(__file__).parent.parent
# What a command with --json prints.
PRINTED: dict[str, Any] = {
    "status": StatusDocument,
    "payload list": RingsDocument,
    "hsm test": ReportDocument,
    "doctor": DoctorDocument,
    "certs list": list[CertificateRow],
}
EXAMPLE = re.compile(rf"plexigate ({'|'.join(PRINTED)})[^|\n]*--json \| jq '?((?:\.[\w\[\]]*(?:\.[\w\[\]]+)*(?:, )?)+)")


def untyped_tables(trees: dict[str, ast.Module]) -> list[str]:
    """Each place with `dict[str, Any]`, or with a name for it, as `module:line`. Takes the modules
    by their names."""
    aliases = {f"{module}.{name}" for module, tree in trees.items() for name in _aliases(tree)}
    return [f"{module}:{line}" for module, tree in trees.items() for line in _places(module, tree, aliases)]


def _aliases(tree: ast.Module) -> list[str]:
    found = []
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=value) if _is_untyped(value):
                found.append(name)
            case ast.AnnAssign(target=ast.Name(name), value=value) if value is not None and _is_untyped(value):
                found.append(name)
    return found


def _places(module: str, tree: ast.Module, aliases: set[str]) -> list[int]:
    known = {name: f"{module}.{name}" for name in _aliases(tree)}
    for node in syntax.nodes(tree):
        if isinstance(node, ast.ImportFrom):
            known |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    found = []
    for node in syntax.nodes(tree):
        match node:
            case ast.Name(name, ast.Load()) if known.get(name) in aliases:
                found.append(node.lineno)
            case ast.Attribute(ast.Name(name), attribute) if f"{known.get(name)}.{attribute}" in aliases:
                found.append(node.lineno)
            case ast.Subscript() if _is_untyped(node):
                found.append(node.lineno)
    return sorted(found)


def _is_untyped(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript) and ast.unparse(node) == "dict[str, Any]"


def test_few_tables_of_the_product_are_untyped() -> None:
    found = untyped_tables(house.parsed())
    assert len(found) < MOST_UNTYPED_TABLES, found


def test_an_untyped_table_is_found_under_each_of_its_names() -> None:
    sources = {
        "a.frames": "Frame = dict[str, Any]\ndef read() -> Frame: ...\n",
        "a.pipe": "from a import frames\nfrom a.frames import Frame\none: Frame\nother: list[frames.Frame]\n",
        "a.third": "class Frame: ...\nthird: Frame\nfourth: dict[str, int]\nfifth: dict[str, Any] | None\n",
    }
    trees = {module: ast.parse(text) for module, text in sources.items()}
    assert untyped_tables(trees) == ["a.frames:1", "a.frames:2", "a.pipe:3", "a.pipe:4", "a.third:4"]


def examples() -> list[tuple[str, str]]:
    """Each command and the values that an example of it takes from its JSON."""
    places = [*(ROOT / "docs").glob("*.md"), *(ROOT / "proxy" / "commands").rglob("*.py")]
    return sorted({(command, path) for one in places for command, path in EXAMPLE.findall(one.read_text())})


@pytest.mark.parametrize(("command", "paths"), examples())
def test_examples_ask_for_what_a_command_prints(command: str, paths: str) -> None:
    for path in paths.split(", "):
        kind = PRINTED[command]
        for part in re.findall(r"\w+|\[\d*\]", path):
            kind = get_args(kind)[0] if part.startswith("[") else get_type_hints(kind)[part]


def test_examples_are_found() -> None:
    assert {command for command, _ in examples()} == PRINTED.keys()
