"""The reference of the configuration: every key with its reason, its values and what a change needs."""

import re
from collections.abc import Iterator

import pytest

from config.schema import (
    Config,
    CredentialConfig,
    HsmConfig,
    IssuedCredentialConfig,
    LimitsConfig,
    ListenerConfig,
    LogConfig,
    PlainConfig,
    RateConfig,
    RotationConfig,
    RouteConfig,
    ServerConfig,
    SessionsConfig,
    TokenConfig,
)
from config.values.kinds import Table
from tests.configuration_reference import (
    INLINE,
    SECTIONS,
    change_of,
    comments,
    default_of,
    ends_of,
    entries_of,
    keys_of,
    kind_of,
    parts_of,
    prose,
    reference,
)
from tests.example_document import EXAMPLE, MODELS


def test_all_tables_are_in_it() -> None:
    assert {one.model for one in SECTIONS} | {*INLINE} == {*MODELS, Config} == set(tables_in(Config))


def tables_in(model: type[Table]) -> Iterator[type[Table]]:
    """A table of the schema, and all tables in it."""
    yield model
    for one in model.model_fields.values():
        for part in parts_of(one.annotation):
            if isinstance(part, type) and issubclass(part, Table):
                yield from tables_in(part)


def test_each_key_has_a_reason() -> None:
    found = comments(EXAMPLE.read_text(encoding="utf-8"))
    described = [(section, key) for section in SECTIONS if not section.like for key in keys_of(section.model)]
    assert len(described) > 200
    without = [f"{section.title} {key}" for section, key in described if found.about(section.headers, key) is None]
    assert without == [], "a comment before each of them in config/example.toml"


def test_each_key_has_one_row() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \|", reference(EXAMPLE.read_text(encoding="utf-8")), re.MULTILINE)
    keys = [key for section in SECTIONS for key in keys_of(section.model)]
    assert sorted(row for row in rows if "." not in row) == sorted(keys)
    assert rows.count("rate.per") == 2
    assert "servers.weight" in rows


def test_comment_is_about_what_stands_behind_it() -> None:
    text = (
        "# The top.\n\n# One\n# and more.\none = 1\n\n# The table.\n[table.a]\n\n# Two and three.\n# two = 2\nthree = 3\n\n"
        "# --- A group\n\nfour = 4\n# Five.\n# five = 5\n\n# Commented out.\n# [other]\n# six = 6\n"
    )
    found = comments(text)
    assert {name: one.lines for name, one in found.tables.items()} == {
        "table.a": ["The table."],
        "other": ["Commented out."],
    }
    assert [(header, one.lines, one.keys) for header, group in found.keys.items() for one in group] == [
        ("", ["One", "and more."], ["one"]),
        ("table.a", ["Two and three."], ["two", "three"]),
        ("table.a", [], ["four"]),
        ("table.a", ["Five."], ["five"]),
        ("other", [], ["six"]),
    ]
    assert found.about(("nowhere", "table.a"), "four") is None


def test_comment_is_written_as_markdown() -> None:
    lines = [
        "Which of [limits.a]:",
        "  first   one",
        "            more",
        "  second  *.two < three",
        "Then some_key ends.",
    ]
    assert list(prose(lines)) == [
        "Which of `[limits.a]`:",
        "",
        "- `first`: one more",
        r"- `second`: \*.two \< three",
        "",
        "Then `some_key` ends.",
        "",
    ]


@pytest.mark.parametrize(
    ("model", "name", "kind"),
    [
        (ListenerConfig, "bind", 'list: address and port, such as `"0.0.0.0:443"`'),
        (ListenerConfig, "exempt", "list: network or address"),
        (ListenerConfig, "default", "text"),
        (LimitsConfig, "head_bytes", "integer, 1_024 to 1_048_576 bytes"),
        (LimitsConfig, "handshakes_per_second_per_address", "number, 0.00001 to 1_000_000.0 per second"),
        (LimitsConfig, "response_bytes_per_second", "integer, 1 to 1_073_741_824 bytes per second"),
        (RateConfig, "requests_per_second", "number, 0.00001 to 1_000_000.0 per second"),
        (CredentialConfig, "key", "list: path of a file, or PKCS#11 URI"),
        (IssuedCredentialConfig, "key", 'list: `"ALGORITHM@PLACE"`'),
        (RotationConfig, "grace", 'time, such as `"90d"`, `"12h"`, `"30m"`'),
        (HsmConfig, "module", "path of a library"),
        (TokenConfig, "pin_credential", "name of a systemd credential"),
        (LogConfig, "format", '`"json"`, `"pretty"`, `"combined"`'),
        (RouteConfig, "stream_requests", "`true` or `false`"),
        (RouteConfig, "rate", "table"),
        (PlainConfig, "https_port", "integer, 1 to 65_535"),
    ],
)
def test_kind_has_values_bounds_and_unit(model: type[Table], name: str, kind: str) -> None:
    assert kind_of(model, name) == kind


@pytest.mark.parametrize(
    ("model", "name", "default"),
    [
        (Config, "workers", '`"auto"`'),
        (Config, "user", "not set"),
        (Config, "watch", "`false`"),
        (LimitsConfig, "connections", "`20_000`"),
        (RotationConfig, "grace", '`"1d"`'),
        (ServerConfig, "address", "required"),
        (SessionsConfig, "suites", '`["MLKEM768-X25519"]`'),
        (SessionsConfig, "rate", '`{ requests_per_second = 20.0, burst = 200, per = "client" }`'),
    ],
)
def test_default_is_written_as_in_a_file(model: type[Table], name: str, default: str) -> None:
    assert default_of(model, name) == default


def test_change_is_the_one_of_the_rules() -> None:
    assert change_of(("openssl", "providers")).startswith("**restart**: providers are loaded once")
    assert change_of(("limits", "head_bytes")).startswith("reload: for new connections and requests")
    assert change_of(("listener", "*", "pq")) == "reload, may end connections"
    assert [line for line in ends_of("pq", ("listener", "*", "pq")) if line.startswith("- ")] == [
        "- for new handshakes; established connections are not touched",
        "- classical connections get a close frame (1012) or end after their response, spread over the drain",
    ]
    assert next(ends_of("default", ("listener", "*", "default"))).startswith("A reload with another `default`: ")
    assert list(ends_of("head_bytes", ("limits", "head_bytes"))) == []


def test_entries_that_come_and_go_are_told() -> None:
    added, *removed, end = entries_of(("upstream", "*"))
    assert (added, end) == ("- A reload that adds one: connections are made when requests come.", "")
    assert " ".join(removed).startswith("- A reload that removes one: its idle connections are closed;")
    assert list(entries_of(("limits",))) == []
