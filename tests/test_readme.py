"""What the README shows is what the program takes: its configurations in the order in which they stand, its Python as it is."""

import ast
import builtins
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from config.crosschecks import cross_check
from config.schema import Config

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
DAY, TOKEN, REST, AUDIT = "## An operator's day", "## Keys in a token", "### What rests on disk", "### The audit log"


def block(heading: str, language: str) -> str:
    """The first block of a language behind a heading."""
    found = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE).search(README, README.index(heading))
    assert found is not None
    return found[1]


def tables(*headings: str) -> dict[str, Any]:
    """The configuration of the first, in which tables of the others take the place of those of the same name."""
    document: dict[str, Any] = {}
    for heading in headings:
        document |= tomllib.loads(block(heading, "toml"))
    return document


@pytest.mark.parametrize("headings", [(DAY,), (DAY, TOKEN), (DAY, TOKEN, REST), (DAY, TOKEN, REST, AUDIT)])
def test_a_reader_who_follows_it_has_a_configuration_that_can_be_used(headings: tuple[str, ...]) -> None:
    config = Config.model_validate(tables(*headings))
    assert [problem for problem in cross_check(config, "README.md") if problem.is_error] == []


def test_a_server_that_is_drained_is_one_of_the_configuration() -> None:
    servers = tables(DAY)["upstream"]["chat"]["servers"]
    day = README[README.index(DAY) : README.index(TOKEN)]
    drained = re.findall(r"plexigate (?:un)?drain chat (\S+)", day)
    assert drained
    assert set(drained) <= set(servers)
    assert "removed (with its defaults)" not in day, "a server that is gone cannot be drained afterwards"


@pytest.mark.parametrize(("heading", "file"), [(AUDIT, "journal.txt"), (REST, "chat-mldsa.pem"), (REST, "mldsa.csr")])
def test_a_file_that_is_used_was_made_before(heading: str, file: str) -> None:
    console = block(heading, "console")
    assert re.search(rf"(?:> |cp \S+ ){re.escape(file)}", console)


@pytest.mark.parametrize("code", re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE))
def test_python_has_all_its_names(code: str) -> None:
    tree = ast.parse(code)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    imported = {one.asname or one.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for one in node.names}  # fmt: skip
    known = imported | {one.id for one in names if isinstance(one.ctx, ast.Store)} | set(dir(builtins))
    assert {one.id for one in names if isinstance(one.ctx, ast.Load)} <= known
