"""What a reload would change: every difference once, in words of an operator."""

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
from pydantic import BaseModel, Field, ValidationError

import config
from config.diff import Change, EffectKind, diff
from config.schema import Config
from config.values.kinds import Table

EXAMPLE = (Path(config.__file__).parent / "example.toml").read_text()


def complete() -> str:
    """The example with each key that is commented out put in, where it fits those before it: it has every table of the schema."""
    text, waiting = EXAMPLE, ""
    for found in re.findall(r"(?m)^# (?:[a-z_]+ = .*|\[.*)$", EXAMPLE):
        further = (waiting or text).replace(found, found.removeprefix("# "), 1)
        try:
            Config.model_validate(tomllib.loads(further))
        except (ValidationError, tomllib.TOMLDecodeError):
            # a table that is not complete yet waits for its other keys
            waiting = further if waiting or found.startswith("# [") else ""
        else:
            text, waiting = further, ""
    return text


COMPLETE = Config.model_validate(tomllib.loads(complete()))

IDENTITY: dict[str, Any] = {"names": ["chat.test"], "certificate": "chat.pem", "key": "chat.key"}
DOCUMENT: dict[str, Any] = {
    "listener": {"public": {"bind": "127.0.0.1:443"}},
    "identity": {"chat": IDENTITY},
    "upstream": {"chat": {"servers": ["http://127.0.0.1:1"]}},
    "route": [{"host": "chat.test", "upstream": "chat"}, {"host": "chat.test", "path": "/api", "upstream": "chat"}],
}


def changed(**tables: Any) -> tuple[Change, ...]:
    """The changes from `DOCUMENT` to one with other tables."""
    return diff(Config.model_validate(DOCUMENT), Config.model_validate({**DOCUMENT, **tables}))


def lines(changes: tuple[Change, ...]) -> list[str]:
    return [str(change) for change in changes]


def listener(**settings: Any) -> dict[str, Any]:
    return {"public": {"bind": "127.0.0.1:443", **settings}}


# -- every field of every table

Step = str | int


def tables_in(value: object, way: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Table]]:
    """Every table below a value, with the attributes, names and indexes that lead to it."""
    match value:
        case Table():
            yield way, value
            for name in type(value).model_fields:
                yield from tables_in(getattr(value, name), (*way, name))
        case dict():
            for name, entry in value.items():
                yield from tables_in(entry, (*way, name))
        case tuple():
            for index, entry in enumerate(value):
                yield from tables_in(entry, (*way, index))
        case _:
            pass


def replaced(value: Any, way: tuple[Step, ...], new: object) -> Any:
    """A copy of a value in which something else stands at the end of a way."""
    if not way:
        return new
    step, *rest = way
    match value:
        case Table():
            return value.model_copy(update={str(step): replaced(getattr(value, str(step)), tuple(rest), new)})
        case dict():
            return {**value, step: replaced(value[step], tuple(rest), new)}
        case _:
            return tuple(replaced(one, tuple(rest), new) if at == step else one for at, one in enumerate(value))


def another(value: Any, kind: object = None) -> object:
    """Something else than a value, of the same kind as far as rules look at it."""
    match value:
        case None if "dict[" in str(kind):
            return {"other": "x"}
        case bool():
            return not value
        case Enum():
            members = list(type(value))
            return members[(members.index(value) + 1) % len(members)]
        case int() | float():
            return value + 1
        case timedelta():
            return value + timedelta(milliseconds=1)
        case dict():
            return {} if value else {"other.test": "other"}
        case tuple():
            return value[1:] if value else ("other",)
        case _:
            return f"{value}x"


FIELDS = [
    ((*way, name), type(table).key_of(name), getattr(table, name), field.annotation)
    for way, table in tables_in(COMPLETE)
    for name, field in type(table).model_fields.items()
    if not isinstance(getattr(table, name), Table)
]


def models(kind: Any) -> set[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {kind}.union(*(models(field.annotation) for field in kind.model_fields.values()))
    return set[type[BaseModel]]().union(*map(models, get_args(kind)))


def test_the_walk_below_meets_every_table_of_the_schema() -> None:
    assert {type(table) for _, table in tables_in(COMPLETE)} == models(Config)


def test_a_change_of_any_field_of_any_table_is_reported() -> None:
    assert len(FIELDS) > 700
    for way, key, value, kind in FIELDS:
        changes = diff(COMPLETE, replaced(COMPLETE, way, another(value, kind)))
        assert changes, way
        assert all(change.key.startswith(str(way[0]) if way[1:] else key) for change in changes), way
        assert all(change.old != change.new and change.effect for change in changes), way
        assert len({change.key for change in changes}) == len(changes), way
        if len(way) == 3 and isinstance(way[1], str):
            assert changes[0].key.startswith(".".join([*map(str, way[:-1]), key])), way


def test_nothing_changes() -> None:
    assert diff(COMPLETE, Config.model_validate(tomllib.loads(complete()))) == ()


def test_changes_come_in_the_order_of_the_schema() -> None:
    changes = changed(
        log={"query": True},
        limits={"header_count": 9, "body_bytes": 1},
        listener=listener(pq="require", default="chat"),
        watch=True,
    )
    keys = ["watch", "listener.public.pq", "listener.public.default", "limits.header_count", "limits.body_bytes"]
    assert [change.key for change in changes] == [*keys, "log.query"]


# -- how it is told


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({"listener": listener(pq="require")}, ["listener.public.pq: prefer -> require"]),
        ({"limits": {"body_bytes": 2}}, ["limits.body_bytes: 104857600 -> 2"]),
        ({"log": {"query": True}}, ["log.query: false -> true"]),
        ({"log": {"file": "a b.log"}}, ['log.file: added ("a b.log")']),
        ({"log": {"file": "\x7f.log"}}, ['log.file: added ("\\x7f.log")']),
        (
            {"identity": {"chat": {**IDENTITY, "names": ["a.test", "b.test"]}}},
            ["identity.chat.names: + a.test, + b.test, - chat.test"],
        ),
        (
            {"identity": {"chat": {**IDENTITY, "names": [f"{number}.test" for number in range(9)]}}},
            ["identity.chat.names: + 0.test, + 1.test, + 2.test, + 3.test, + 4.test, + 4 more, - chat.test"],
        ),
        (
            {"listener": listener(groups=[["A", "B"], ["C"]])},
            ["listener.public.groups: added (A, B / C)"],
        ),
        (
            {"listener": listener(trusted_peers=["10.0.0.0/8", "::1"])},
            ["listener.public.trusted_peers: + 10.0.0.0/8, + ::1/128"],
        ),
        (
            {"listener": {**listener(), "inner": {"bind": ["127.0.0.1:1", "[::1]:2"], "pq": "off"}}},
            ["listener.inner: added (bind = 127.0.0.1:1, [::1]:2, pq = off)"],
        ),
        ({"openssl": {"providers": ["a", "b"]}}, ["openssl.providers: nothing -> a, b"]),
        (
            {"openssl": {"providers": list("abcdefg")}},
            ["openssl.providers: nothing -> a, b, c, d, e, 2 more"],
        ),
        ({"listener": {}}, ["listener.public: removed (bind = 127.0.0.1:443)"]),
        (
            {"identity": {"a.b": IDENTITY}},
            [
                "identity.chat: removed (names = chat.test, certificate = chat.pem, key = chat.key)",
                'identity."a.b": added (names = chat.test, certificate = chat.pem, key = chat.key)',
            ],
        ),
        (
            {"identity": {"chat": {"names": ["chat.test"], "credential": [{"certificate": "c", "key": "k"}]}}},
            [
                "identity.chat.certificate: removed (chat.pem)",
                "identity.chat.key: removed (chat.key)",
                "identity.chat.credential: + {certificate = c, key = k}",
            ],
        ),
    ],
)
def test_a_change_is_told_in_one_line(tables: dict[str, Any], told: list[str]) -> None:
    assert lines(changed(**tables)) == told


def test_routes_are_known_by_host_and_path() -> None:
    routes = [
        {"host": "chat.test", "path": "/api", "upstream": "chat", "body_bytes": 7},
        {"host": "*.chat.test", "upstream": "chat"},
    ]
    assert lines(changed(route=routes)) == [
        "route chat.test/: removed (upstream = chat)",
        "route chat.test/api body_bytes: added (7)",
        "route *.chat.test/: added (upstream = chat)",
    ]


def test_the_order_of_routes_is_no_change() -> None:
    assert changed(route=DOCUMENT["route"][::-1]) == ()


def test_the_first_and_the_last_route_are_changes_as_well() -> None:
    with_routes, without = Config.model_validate(DOCUMENT), Config.model_validate({**DOCUMENT, "route": []})
    for old, new in ((with_routes, without), (without, with_routes)):
        assert [change.key for change in diff(old, new)] == ["route chat.test/", "route chat.test/api"]


def test_another_order_of_a_list_is_told_as_the_whole_list() -> None:
    old = Config.model_validate({"identity": {"chat": {**IDENTITY, "names": ["a.test", "b.test"]}}})
    new = Config.model_validate({"identity": {"chat": {**IDENTITY, "names": ["b.test", "a.test"]}}})
    assert lines(diff(old, new)) == ["identity.chat.names: a.test, b.test -> b.test, a.test"]


class Probe(Table):
    """`[probe]`, for a table that may be absent."""

    path: str = "/"


class Server(Table):
    """An entry of a list, known by its address."""

    identified_by: ClassVar[tuple[str, ...]] = ("address",)

    address: str
    weight: int = 1
    tags: tuple[str, ...] = ()


class Pool(Table):
    """`[pool.NAME]`, with a list of tables."""

    servers: tuple[Server, ...]


class Grown(Config):
    """A schema with tables that nobody knew when `diff` was written."""

    pool: dict[str, Pool] = Field(default_factory=dict)
    probe: Probe | None = None
    either: Probe | None = None
    label: dict[str, str] = Field(default_factory=dict)


def test_tables_that_are_added_to_the_schema_are_compared_too() -> None:
    old = Grown(probe=Probe(path="/a"), label={"a": "1"})
    new = Grown(probe=Probe(path="/b"), either=Probe(), label={"a": "2", "b": "3"})
    changes = diff(old, new)
    assert lines(changes) == [
        "probe.path: /a -> /b",
        "either: added (with its defaults)",
        "label.a: 1 -> 2",
        "label.b: added (3)",
    ]
    assert {change.kind for change in changes} == {EffectKind.LIVE}


def test_entries_of_a_list_are_known_by_their_identity() -> None:
    kept, gone = Server(address="a"), Server(address="b", weight=2)
    old = Grown(pool={"chat": Pool(servers=(gone, kept))})
    new = Grown(pool={"chat": Pool(servers=(Server(address="a", weight=3, tags=("d e",)), Server(address="\x7f")))})
    assert lines(diff(old, new)) == [
        "pool.chat.servers b: removed (weight = 2)",
        "pool.chat.servers a weight: 1 -> 3",
        'pool.chat.servers a tags: + "d e"',
        'pool.chat.servers "\\x7f": added (with its defaults)',
    ]
    assert lines(diff(Grown(), new)) == ['pool.chat: added (servers = a (weight = 3, tags = "d e"), "\\x7f")']


# -- files whose content changed


def test_new_content_of_files_is_reported() -> None:
    unchanged = Config.model_validate(DOCUMENT)
    key = 'identity."chat.v2".credential[1].key'
    told = diff(unchanged, unchanged, {"identity.chat.certificate": "new content", key: "new content"})
    assert lines(told) == [
        "identity.chat.certificate: content as loaded -> new content",
        f"{key}: content as loaded -> new content",
    ]
    assert {change.kind for change in told} == {EffectKind.LIVE}
    assert all("new handshakes" in change.effect for change in told)


def test_new_content_of_a_file_that_is_another_one_now_is_no_further_change() -> None:
    old = Config.model_validate(DOCUMENT)
    document = {
        **DOCUMENT,
        "identity": {"chat": {**IDENTITY, "key": "other.key"}, "new": {**IDENTITY, "names": ["n.test"]}},
    }
    content = {"identity.chat.key": "new", "identity.new.key": "new", "identity.newer.key": "new"}
    told = diff(old, Config.model_validate(document), content)
    assert [change.key for change in told] == ["identity.chat.key", "identity.new", "identity.newer.key"]


# -- as JSON


def test_json_and_back() -> None:
    for change in changed(listener=listener(pq="require"), route=[]):
        facts = change.as_json()
        assert set(facts) == {"key", "kind", "old", "new", "effect"}
        assert Change.from_json(json.loads(json.dumps(facts))) == change
