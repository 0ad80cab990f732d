"""Each row of docs/migrate.md names keys that exist: its part is put into a configuration, and the loader takes it."""

import json
import re
import tomllib
from typing import Any

import pytest

from config.loading.loader import survey
from tests.configurations import Site
from tests.document_links import ROOT
from tests.test_documents import merged

_ROW = re.compile(r"^\| (?!nginx \||---)(.+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
ROWS = _ROW.findall((ROOT / "docs/migrate.md").read_text(encoding="utf-8"))
WITHOUT_KEY = {"always", "a [command](routes.md#maintenance)"}


OWN_ANSWERS = {"respond", "redirect"}
"""Keys of a route that has no upstream."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("migration"))


def written(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def completed(part: str, site: Site) -> str:
    """A whole configuration with the keys of a part in it.

    Its first route and its tables named `public` and `chat` are those that the part is about.
    """
    tables, added = tomllib.loads(site.minimal), tomllib.loads(part)
    routes = added.pop("route", [{}])
    first = tables["route"][0]
    tables = merged(tables, added)
    if "servers" not in tables["upstream"]["chat"]:
        tables["upstream"]["chat"]["servers"] = ["http://127.0.0.1:1"]
    tables["route"] = [
        {key: value for key, value in (first | route).items() if key != "upstream" or not OWN_ANSWERS & set(route)}
        for route in routes
    ]
    return "\n".join(f"{json.dumps(key)} = {written(value)}" for key, value in tables.items())


def problems(part: str, site: Site) -> list[str]:
    """What the loader says against a configuration with this part."""
    path = site.write(completed(part, site))
    return [str(problem) for problem in survey(path).problems if problem.is_error]


def test_tables_are_found() -> None:
    assert len(ROWS) > 25


@pytest.mark.parametrize("row", ROWS, ids=[row[0].replace("`", "") for row in ROWS])
def test_row_is_a_configuration_that_can_be_used(row: tuple[str, ...], site: Site) -> None:
    ours = row[-1]
    if ours in WITHOUT_KEY:
        return
    part = "\n".join(_CODE.findall(ours))
    assert part, "the last column names keys, or says that none is needed"
    assert problems(part, site) == []


@pytest.mark.parametrize(
    "part",
    ['[[route]]\npaths = "/api"', '[[route]]\npath = "api"', "[upstream.chat]\nwait = 1", "[limits]\nhead_bytes = 1"],
)
def test_row_that_names_a_wrong_key_or_value_is_found(part: str, site: Site) -> None:
    assert problems(part, site)
