"""The previous keys of durations: each is accepted with the line to write in its place."""

from pathlib import Path
from typing import Any

import pytest

from config.loading.former_times import FORMER_TIMES, renew
from config.loading.loader import accepted, survey
from config.schema import Config
from config.values.durations import unit_of
from config.values.kinds import Table
from config.values.problems import ConfigError
from tests.configuration_reference import SECTIONS, parts_of

REST = """
[listener.public]
bind = "127.0.0.1:1"
[identity.chat]
names = ["chat.test"]
certificate = "chat.pem"
key = "chat.key"
[upstream.chat]
servers = ["http://127.0.0.1:2"]
[[route]]
host = "chat.test"
upstream = "chat"
"""


def times() -> set[tuple[tuple[str, ...], str, str]]:
    """Where each duration that counts in a unit stands: the table, the name of the field, the key."""
    places: list[tuple[tuple[str, ...], type[Table]]] = [(one.place, one.model) for one in SECTIONS]
    for place, model in [*places]:
        for name, field in model.model_fields.items():
            inner = [part for part in parts_of(field.annotation) if isinstance(part, type) and issubclass(part, Table)]
            places += [((*place, name), one) for one in inner if one.__name__ == "AuthConfig"]
    return {
        (place, name, model.key_of(name))
        for place, model in places
        for name, field in model.model_fields.items()
        if unit_of(field) is not None
    }


def test_each_duration_with_a_unit_in_its_name_has_its_former_key() -> None:
    former = {(place, old, new) for place, names in FORMER_TIMES.items() for old, new in names.items()}
    assert former == times()


def nested(place: tuple[str, ...], table: dict[str, Any]) -> dict[str, Any]:
    """A document with one table at a place."""
    for part in reversed(place):
        table = {"a" if part == "*" else part: table}
    if place[:1] == ("route",):
        table["route"] = [table["route"]["a"]]
    return table


@pytest.mark.parametrize("place", FORMER_TIMES)
def test_a_number_gets_its_unit_and_its_new_name(place: tuple[str, ...]) -> None:
    for old, new in FORMER_TIMES[place].items():
        document = nested(place, {old: 90})
        found = renew(document, "f")
        text = "90h" if old.endswith("_hours") else "90s"
        assert document == nested(place, {new: text})
        (problem,) = found.problems
        assert not problem.is_error
        assert (problem.found, problem.allowed) == ("the deprecated name of a key", f'{new} = "{text}"')
        assert problem.key.endswith(old)
        ((renewed, there),) = found.in_file.items()
        assert (renewed.rpartition(".")[2], there) == (new, problem.key)


@pytest.mark.parametrize(
    "document", [{"limits": 5}, {"upstream": {"a": 5}}, {"route": [5]}, {"route": {"a": {}}}, {"listener": []}]
)
def test_what_is_no_table_is_left_alone(document: dict[str, Any]) -> None:
    assert renew(document, "f").problems == []


def written(directory: Path, text: str) -> Path:
    path = directory / "p.toml"
    path.write_text(text + REST)
    for name in ("chat.pem", "chat.key"):
        (directory / name).touch(mode=0o600)
    return path


def found(directory: Path, text: str) -> list[str]:
    path = written(directory, text)
    return [str(one).removeprefix(f"{path}:") for one in survey(path).problems]


def test_a_former_key_is_in_force_and_warned_of_where_it_stands(tmp_path: Path) -> None:
    path = written(tmp_path, "reload_seconds = 12.5\nlimits.head_seconds = 3\n")
    loaded = accepted(path.read_bytes(), path)
    assert (loaded.config.reload_seconds, loaded.config.limits.head_seconds) == (12.5, 3.0)
    assert [str(one).removeprefix(f"{path}:") for one in loaded.warnings] == [
        '1:1: reload_seconds: warning: found the deprecated name of a key; better: reload_timeout = "12500ms"',
        '2:8: limits.head_seconds: warning: found the deprecated name of a key; better: head_timeout = "3s"',
    ]


def test_both_names_are_an_error(tmp_path: Path) -> None:
    text = 'reload_timeout = "30s"\nreload_seconds = 30.0\n'
    assert found(tmp_path, text) == [
        "2:1: reload_seconds: found this key together with reload_timeout; allowed: only reload_timeout: it has replaced this key"
    ]
    path = written(tmp_path, text)
    with pytest.raises(ConfigError):
        accepted(path.read_bytes(), path)


@pytest.mark.parametrize(
    ("value", "shown"),
    [("0.01", '"10ms"'), ("true", "true"), ("-5", "-5"), ("inf", "inf"), ("1e300", "1e+300"), ('"soon"', '"soon"')],
)
def test_a_value_that_is_refused_is_told_once_and_where_it_stands(tmp_path: Path, value: str, shown: str) -> None:
    assert found(tmp_path, f"reload_seconds = {value}\n") == [
        f"1:1: reload_seconds: found {shown}; allowed: "
        'reload_timeout in its place: a time in quotes with its unit, from "100ms" to "1h" (default "30s")'
    ]


def test_the_new_name_takes_no_number(tmp_path: Path) -> None:
    assert found(tmp_path, "reload_timeout = 30.0\n") == [
        '1:1: reload_timeout: found 30.0; allowed: a time in quotes with its unit, from "100ms" to "1h" (default "30s")'
    ]
    assert Config().reload_seconds == 30.0
