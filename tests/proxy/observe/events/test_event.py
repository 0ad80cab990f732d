"""The catalogue of events is complete, and says of each what it is."""

import ast
import pkgutil
import re
from pathlib import Path

import pytest

from config.schema import Config
from proxy.observe import events
from proxy.observe.events.event import Event, Level
from proxy.observe.events.secrets import TicketsRotated
from tests.event_reference import meanings, paragraphs
from tests.example_events import EXAMPLES, SUBJECTS, classes

ROOT = Path(__file__).parents[4]
CATALOGUE = [one for module in SUBJECTS.values() for one in classes(module)]
EACH = pytest.mark.parametrize("one", CATALOGUE, ids=lambda one: one.__name__)


def test_every_module_is_a_subject_of_the_document() -> None:
    modules = {f"{events.__name__}.{one.name}" for one in pkgutil.iter_modules(events.__path__)}
    assert modules - {Event.__module__} == {module.__name__ for module in SUBJECTS.values()}


def test_each_event_has_an_example_and_a_name_of_its_own() -> None:
    assert {type(example.event) for example in EXAMPLES} == set(CATALOGUE)
    names = [one.event for one in CATALOGUE]
    assert sorted(set(names)) == sorted(names)
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in names)


def test_no_event_is_defined_outside_of_the_catalogue() -> None:
    literal = re.compile(r"""["']event["']\s*:""")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "proxy").rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if literal.search(line)
    ]
    (only,) = found
    assert only.startswith("proxy/observe/events/event.py:")


def test_each_event_is_written_somewhere() -> None:
    outside = [path for path in (ROOT / "proxy").rglob("*.py") if path.parent != ROOT / "proxy/observe/events"]
    used = {
        node.id
        for path in outside
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name)
    }
    assert [one.__name__ for one in CATALOGUE if one.__name__ not in used] == []


@EACH
def test_each_event_says_when_it_is_written_and_what_to_do(one: type[Event]) -> None:
    assert len(paragraphs(one)) in ((1, 2) if one.level is Level.INFORMATION else (2,))
    assert all(text.endswith(".") for text in paragraphs(one))


@EACH
def test_each_field_of_the_json_has_a_meaning(one: type[Event]) -> None:
    keys = {key for example in EXAMPLES if type(example.event) is one for key in example.facts}
    assert keys - {"event"} == meanings(one).keys()


@EACH
def test_keys_of_the_configuration_that_an_event_names_exist(one: type[Event]) -> None:
    reference = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)\.(\w+)`", " ".join([*paragraphs(one), *meanings(one).values()]))
    keys = [f"{table}.{key}" for table, key in named if table in Config.model_fields and key != "json"]
    assert [key for key in keys if not re.search(rf"^### .*\b{key}\b", reference, re.MULTILINE)] == []


def test_a_terminal_shows_the_sentence() -> None:
    event = TicketsRotated()
    assert event.lines() == [event.sentence()]
