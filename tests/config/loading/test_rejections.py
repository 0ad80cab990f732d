"""pydantic's errors in the words of the configuration file."""

import tomllib

import pytest
from pydantic import ValidationError

from config.loading.rejections import Rejection, rejections
from config.schema import Config
from config.values.omissions import Omissions


def rejected(text: str, omissions: Omissions | None = None) -> list[Rejection]:
    document = tomllib.loads(text)
    omissions = omissions or Omissions()
    try:
        Config.model_validate(omissions.without(document))
    except ValidationError as error:
        return rejections(error, document, omissions)
    return []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("limits = 5", "f: limits: found 5; allowed: a table"),
        ("listener = 5", "f: listener: found 5; allowed: tables with a name of your choice, [listener.NAME]"),
        ("[[listener]]", "f: listener: found a list of 1; allowed: tables with a name of your choice, [listener.NAME]"),
        ("[[limits]]", "f: limits: found a list of 1; allowed: a table, [limits], with one bracket"),
        ("[listener]\na = 5", "f: listener.a: found 5; allowed: a table with a name of your choice, [listener.NAME]"),
        (
            '[listener]\nbind = ["[::]:443"]',
            "f: listener.bind: found a list of 1; allowed: a table with a name of your choice, [listener.NAME]",
        ),
        ("[[listener.a]]", "f: listener.a: found a list of 1; allowed: a table, [listener.a], with one bracket"),
        (
            "[route]\nhost = 'a'",
            "f: route: found a table with host; allowed: [[route]], with two brackets and without a name: "
            "each is an entry of a list",
        ),
        (
            "[issuer.a]\ndirectory = 'x'",
            "f: issuer.a.directory: found a key of another kind of this table; "
            'allowed: no such key, or another kind by "type"',
        ),
        (
            "[issuer.a]\ntype = 5\ndirectory = 'x'",
            'f: issuer.a.type: found 5; allowed: "internal" or "acme"',
        ),
        ("[listener.a]", "f: listener.a.bind: found nothing; allowed: this key is needed in [listener.a]"),
        (
            '[listener.a]\nbind = "127.0.0.1:1"\npq = "on"',
            'f: listener.a.pq: found "on"; allowed: one of "off", "prefer", "report" or "require"',
        ),
        (
            '[listener.a]\nbind = "x:1"',
            'f: listener.a.bind: found "x:1"; allowed: an address and a port, such as "0.0.0.0:443" or "[::]:443"; '
            "a name is not resolved here",
        ),
        (
            '[listener.a]\nbind = ["[::]:1", "[::]:65536"]',
            'f: listener.a.bind[1]: found "[::]:65536"; allowed: a port from 0 to 65535 (0 lets the system choose) behind the address',
        ),
        (
            '[[route]]\nhost = "a"\nupstream = "b"\nrate = { requests_per_second = 0, burst = 1, per = "client" }',
            "f: route[0].rate.requests_per_second: found 0; allowed: a number from 0.00001 to 1_000_000.0",
        ),
        ("[listener.a]\nbind = []", "f: listener.a.bind: found an empty list; allowed: at least one entry"),
        (
            '[listener.a]\nbind = "127.0.0.1:1"\ndefault = 5',
            "f: listener.a.default: found 5; allowed: text in quotes",
        ),
        (
            '[listener."a b"]\nbind = "127.0.0.1:1"',
            'f: listener."a b": found "a b"; allowed: '
            "a name of at most 64 letters, digits, dots, hyphens and underscores (it is printed in logs)",
        ),
        (
            '[identity.a]\nnames = ["a"]\nkey = "k"',
            'f: identity.a: found key alone; allowed: either both "certificate" and "key", or [[identity.NAME.credential]] tables',
        ),
        (
            '[identity.a]\nnames = ["a"]\n[[identity.a.credential]]\ncertificate = "c"',
            "f: identity.a.credential[0].key: found nothing; allowed: this key is needed in [identity.a.credential[0]]",
        ),
        (
            '[upstream.a]\nservers = ["http://a"]\nconnections = "1"',
            'f: upstream.a.connections: found "1"; allowed: a whole number from 1 to 1_000_000 (default 256)',
        ),
        (
            '[upstream.a]\nservers = ["http://a"]\nconnect_timeout = inf',
            'f: upstream.a.connect_timeout: found inf; allowed: a time in quotes with its unit, from "100ms" to "10m" (default "5s")',
        ),
        (
            '[[route]]\nhost = "a"\nupstream = "a"\nbody_bytes = -1',
            "f: route[0].body_bytes: found -1; allowed: a whole number from 0 to 1_099_511_627_776",
        ),
        (
            '[upstream.a]\nservers = ["http://a", "b"]',
            'f: upstream.a.servers[1]: found "b"; allowed: an address such as "http://127.0.0.1:8000", '
            '"https://chat.internal" or "unix:/run/chat.sock", for a listener with protocol "tcp" also '
            '"tcp://127.0.0.1:6667" or "tls://irc.internal:6697"',
        ),
        (
            '[upstream.a]\nservers = ["http://a", 42]',
            'f: upstream.a.servers[1]: found 42; allowed: an address such as "http://127.0.0.1:8000", '
            "or a table with an address and a weight",
        ),
        (
            '[upstream.a]\nservers = [{ address = "http://a", weight = 0 }]',
            "f: upstream.a.servers[0].weight: found 0; allowed: a whole number from 1 to 1_000 (default 1)",
        ),
        (
            '[upstream.a]\nservers = ["http://a"]\n[upstream.a.health]\npath = "/"\nrise = 0',
            "f: upstream.a.health.rise: found 0; allowed: a whole number from 1 to 1_000 (default 2)",
        ),
        (
            '[upstream.a]\nservers = ["http://a"]\n[upstream.a.ejection]\nerror = 5',
            'f: upstream.a.ejection.error: found an unknown key (did you mean "errors"?); allowed: one of '
            "base_time, connect_failures, errors, errors_within, max_time, most_percent",
        ),
        (
            '[log]\nsample = { "a/" = 1 }',
            'f: log.sample."a/": found 1; allowed: a whole number from 2 to 1_000_000: one success in N is logged',
        ),
        ("route = 5", "f: route: found 5; allowed: a list in brackets"),
        ("[log]\nquery = 1", "f: log.query: found 1; allowed: true or false"),
        ("[log]\nfile = 2026-01-02", "f: log.file: found the date or time 2026-01-02; allowed: text in quotes"),
        (
            "[log]\ncolour = 1",
            "f: log.colour: found an unknown key; allowed: one of fields, file, format, query, sample, websocket_opens",
        ),
        (
            "[log]\nQuery = true",
            'f: log.Query: found an unknown key (did you mean "query"?); allowed: one of fields, file, format, query, sample, websocket_opens',
        ),
        (
            "[limits]\nbody-byte = 1",
            'f: limits.body-byte: found an unknown key (did you mean "body_bytes"?); '
            'allowed: "body_bytes", or another key of [limits]',
        ),
        (
            "[listeners.a]",
            'f: listeners: found an unknown key (did you mean "listener"?); '
            f"allowed: one of {', '.join(sorted(map(Config.key_of, Config.model_fields)))}",
        ),
        (
            '[[route]]\nhost = "a"\nupstream = "b"\n[[route]]\nhost = "a"\nupstream = "b"\nuptream = "c"',
            'f: route[1].uptream: found an unknown key (did you mean "upstream"?); '
            'allowed: "upstream", or another key of [route[1]]',
        ),
    ],
)
def test_each_kind_of_fault_is_one_plain_sentence(text: str, sentence: str) -> None:
    assert [str(entry.problem("f")) for entry in rejected(text)] == [sentence]


def test_an_error_without_words_of_ours_keeps_those_of_pydantic() -> None:
    error = ValidationError.from_exception_data(
        "Config", [{"type": "string_unicode", "loc": ("log", "file"), "input": "x"}]
    )
    (entry,) = rejections(error, {"log": {"file": "x"}}, Omissions())
    assert str(entry.problem("f")).startswith('f: log.file: found "x"; allowed: ')
    assert entry.allowed


def test_what_cannot_stay_is_the_value_or_the_table_that_lacks_one() -> None:
    by_key = {entry.location: entry for entry in rejected('[listener.a]\npq = "on"\n[log]\nx = 1')}
    assert by_key["listener", "a", "pq"].omitted == ("listener", "a", "pq")
    assert by_key["listener", "a", "bind"].omitted == ("listener", "a")
    (kind,) = rejected('[issuer.a]\ntype = "other"')
    assert kind.omitted == ("issuer", "a")
    assert by_key["log", "x"].is_unknown_key
    assert not by_key["listener", "a", "pq"].is_unknown_key


def test_locations_are_those_of_the_file_behind_a_gap() -> None:
    text = '[[route]]\nhost = 5\n[[route]]\nupstream = "a"'
    omissions = Omissions(frozenset({("route", 0)}))
    assert [entry.location for entry in rejected(text, omissions)] == [("route", 1, "host")]


def test_a_table_that_lacks_what_was_refused_only_follows_from_that() -> None:
    omissions = Omissions(frozenset({("listener", "a", "bind")}))
    (missing,) = rejected('[listener.a]\nbind = "x"', omissions)
    assert missing.follows_from(omissions)


def test_a_verdict_on_a_table_rests_on_some_of_its_keys_only() -> None:
    text = '[identity.a]\nnames = ["a", "b c"]\nkey = "k"'
    omissions = Omissions(frozenset({("identity", "a", "names", 1)}))
    (lone_key,) = rejected(text, omissions)
    assert not lone_key.follows_from(omissions)
    assert lone_key.follows_from(Omissions(frozenset({("identity", "a", "certificate")})))
