"""plexigate.toml(5): every table and key of the example."""

import re
import tomllib
from importlib.resources import files
from typing import Any

from docker.building.manual.configuration_page import configuration_page
from docker.building.manual.roff import bold, escaped

EXAMPLE = (files("config") / "example.toml").read_text(encoding="utf-8")
PAGE = configuration_page(EXAMPLE, "2026-11-28", "1.2.3")


def keys(table: dict[str, Any]) -> set[str]:
    found = set(table)
    for value in table.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                found |= keys(inner)
    return found


def test_every_table_and_key_of_the_example_appears() -> None:
    assert len(keys(tomllib.loads(EXAMPLE))) > 150
    headers = re.findall(r"^(?:# )?(\[\[?[\w.-]+\]\]?)$", EXAMPLE, re.MULTILINE)
    assert [one for one in headers if f'\n.SS "{escaped(one)}"\n' not in PAGE] == []
    lines = re.findall(r"^(?:# )?[a-z_]+ = .*$", EXAMPLE, re.MULTILINE)
    assert [one for one in lines if f"\n{bold(one)}\n" not in PAGE] == []


def test_introduction_of_the_example_is_not_in_it() -> None:
    assert "starts the proxy with it" not in PAGE
    assert PAGE.startswith('.TH PLEXIGATE.TOML 5 "2026-11-28" "Plexigate 1.2.3" "Plexigate"\n')


def test_key_stands_above_its_text_and_the_text_of_a_table_below_its_header() -> None:
    page = configuration_page("# Head.\n\n# About it.\n[a]\n\n# The\n# policy.\nb = 1\nc = 2\n", "", "")
    assert '.SS "[a]"\nAbout it.\n.PP\n.nf\n\\fBb = 1\\fR\n\\fBc = 2\\fR\n.fi\n.RS 4\nThe policy.\n.RE\n' in page


def test_text_is_filled_and_a_list_stands_as_it_is() -> None:
    page = configuration_page("# Head.\n\n# The\n# policy:\n#   off  no\n#   on   yes\n[a]\nb = 1\n", "", "")
    text = ".RS 4\nThe policy:\n.PP\n.nf\n.RS 4\noff  no\non   yes\n.RE\n.fi\n.RE\n"
    assert f'.SS "[a]"\n.nf\n\\fBb = 1\\fR\n.fi\n{text}' in page
