"""Where each key of a TOML document stands."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import config
from config.loading.positions import Position, Positions
from config.values.problems import Location, Problem, toml_key

DOCUMENT = """\
# [a comment]
workers = "auto" # = 3
admin.socket = 'C:\\no\\escape'

[listener.public]
bind = [
  "127.0.0.1:1", # ], "not this"
  "[::1]:1",
]
limits = { connections = 1, "handshake_seconds" = 2.0, in.side = [{ a = 1 }, {}] }

  [ identity . "a.b\\u0021" ]
names = ["x"]
text = \"\"\"
[identity.none]
key = "\\\"\"\" still text\"\"\"\"
  [[identity."a.b!".credential]]
  key = '''
'' quoted'''''
  [[identity."a.b!".credential]]
  issuer = "i"
  [identity."a.b!".credential.extra]
  since = 1979-05-27 07:32:00
[[route]]
host = "a"
[[route]]
rate = {}
[identity]
late = true
"""


def locations(value: object, place: Location = ()) -> Iterator[Location]:
    """Every location of a document."""
    yield place
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, entry in entries:
        yield from locations(entry, (*place, part))


@pytest.mark.parametrize(
    ("key", "line", "column"),
    [
        ("workers", 2, 1),
        ("admin", 3, 1),
        ("admin.socket", 3, 7),
        ("listener", 5, 2),
        ("listener.public", 5, 11),
        ("listener.public.bind", 6, 1),
        ("listener.public.bind[1]", 8, 3),
        ("listener.public.limits.handshake_seconds", 10, 29),
        ("listener.public.limits.in.side[0].a", 10, 69),
        ("listener.public.limits.in.side[1]", 10, 78),
        ('identity."a.b!"', 12, 16),
        ('identity."a.b!".names[0]', 13, 10),
        ('identity."a.b!".credential', 17, 21),
        ('identity."a.b!".credential[0].key', 18, 3),
        ('identity."a.b!".credential[1]', 20, 21),
        ('identity."a.b!".credential[1].extra.since', 23, 3),
        ("route", 24, 3),
        ("route[0].host", 25, 1),
        ("route[1].rate", 27, 1),
        ("identity", 28, 2),
        ("identity.late", 29, 1),
    ],
)
def test_each_key_has_its_line_and_column(key: str, line: int, column: int) -> None:
    tomllib.loads(DOCUMENT)
    assert Positions(DOCUMENT).at(key) == Position(line, column)


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("listener.public.pq", Position(5, 11)),
        ("listener.public.bind[7]", Position(6, 1)),
        ('identity."a.b!".credential[1]."no\\"one"', Position(20, 21)),
        ("issuer.internal.key", Position(1, 1)),
        ("hsm", Position(1, 1)),
        ("", None),
    ],
)
def test_a_key_that_is_missing_has_the_place_of_the_table_that_lacks_it(key: str, place: Position | None) -> None:
    assert Positions(DOCUMENT).at(key) == place


def test_a_document_without_text_has_no_places() -> None:
    assert Positions().at("listener") is None


def test_a_problem_gets_its_place() -> None:
    problem = Problem("f", "route[0].host", "x", "y")
    assert str(Positions(DOCUMENT).located(problem)) == "f:25:1: route[0].host: found x; allowed: y"
    whole = Problem("f", "", "x", "y")
    assert Positions(DOCUMENT).located(whole) == whole


def test_one_walk_answers_every_question() -> None:
    positions = Positions(DOCUMENT)
    assert positions.at("workers") == Position(2, 1)
    assert positions.at("route") == Position(24, 3)


@pytest.mark.parametrize("name", ["example.toml", "plexichat.toml", "dev.toml"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.at_length
def test_every_key_of_what_is_shipped_is_found_where_it_stands(name: str, newline: str) -> None:
    lines = (Path(config.__file__).parent / name).read_text().splitlines()
    text = newline.join(lines)
    for place in locations(tomllib.loads(text)):
        found = Positions(text).at(toml_key(place))
        if not place or isinstance(place[-1], int):
            continue
        assert found is not None
        assert lines[found.line - 1][found.column - 1 :].startswith(place[-1])


NAMES = st.one_of(
    st.sampled_from(["a", "b-c", "1_2"]),
    st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF, exclude_categories=["Cc", "Cs"]), max_size=4),
)
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 9), st.text(st.sampled_from("ab#[]{}\"'\\=,.\n "), max_size=6)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def written(value: Any) -> str:
    """A value in TOML, tables inline; JSON escapes what TOML does."""
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {written(entry)}" for key, entry in value.items()) + "}"
        case list():
            return "[ # ]\n" + "".join(f"{written(entry)} ,\n" for entry in value) + "]"
        case _:
            return json.dumps(value)


@pytest.mark.at_length
@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=4), max_size=4))
def test_any_document_is_walked_to_its_end(document: dict[str, dict[str, Any]]) -> None:
    tables = [
        f"[{json.dumps(name)}]\n" + "".join(f"{json.dumps(key)}={written(value)}\n" for key, value in table.items())
        for name, table in document.items()
    ]
    text = "# é\n" + "\n".join(tables) + "\n['the last one']\nend = 1"
    assert tomllib.loads(text) == {**document, "the last one": {"end": 1}} or "the last one" in document
    assert Positions(text).at('"the last one".end') == Position(text.count("\n") + 1, 1)


def test_lists_in_lists_in_lists_end_nothing() -> None:
    deep = f"first = 1\ndeep = {'[' * 5_000}{']' * 5_000}\n"
    assert Positions(deep).at("first") == Position(1, 1)
