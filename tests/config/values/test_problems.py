"""Problems, and how values of a file are shown in them."""

from datetime import UTC, date, datetime, time

import pytest

from config.values.problems import ConfigError, Problem, Severity, is_key_material, shown, toml_key

ERROR = Problem("chat.toml", "route[2].path", '"x"', 'a path that starts with "/"')
WARNING = Problem("chat.toml", "identity.chat.key", "mode 0644", "mode 0600", Severity.WARNING)


def test_an_error_is_one_sentence_with_file_key_found_and_allowed() -> None:
    assert str(ERROR) == 'chat.toml: route[2].path: found "x"; allowed: a path that starts with "/"'
    assert ERROR.is_error


def test_a_warning_says_that_it_is_one() -> None:
    assert str(WARNING) == "chat.toml: identity.chat.key: warning: found mode 0644; better: mode 0600"
    assert not WARNING.is_error


def test_a_problem_of_the_whole_file_has_no_key() -> None:
    assert str(Problem("chat.toml", "", "nothing", "TOML")) == "chat.toml: found nothing; allowed: TOML"


def test_as_json_has_all_facts() -> None:
    assert WARNING.as_json() == {
        "file": "chat.toml",
        "key": "identity.chat.key",
        "found": "mode 0644",
        "allowed": "mode 0600",
        "severity": "warning",
        "line": None,
        "column": None,
    }


def test_a_problem_says_where_in_the_file_it_stands() -> None:
    problem = Problem("chat.toml", "route[0].path", '"x"', "a path", line=7, column=3)
    assert str(problem) == 'chat.toml:7:3: route[0].path: found "x"; allowed: a path'
    assert problem.as_json()["line"] == 7
    assert problem.as_json()["column"] == 3


def test_the_exception_lists_every_problem_on_a_line() -> None:
    error = ConfigError(iter([ERROR, WARNING]))
    assert error.problems == (ERROR, WARNING)
    assert str(error).splitlines() == [str(ERROR), str(WARNING)]


@pytest.mark.parametrize(
    ("location", "key"),
    [
        ((), ""),
        (("route", 2, "path"), "route[2].path"),
        (("identity", "chat", "credential", 0, "key"), "identity.chat.credential[0].key"),
        (("identity", "a b"), 'identity."a b"'),
        (("identity", "a.b"), 'identity."a.b"'),
        (("x\x1b[2J",), '"x\\u001b[2J"'),
        (("k" * 200,), "k" * 200),
        (("k " * 100,), f'"{"k " * 25}..."'),
    ],
)
def test_toml_key_writes_a_location_as_toml_does(location: tuple[str | int, ...], key: str) -> None:
    assert toml_key(location) == key


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("chat", '"chat"'),
        ("a\nb\u202e\x7f", '"a\\nb\\u202e\\x7f"'),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (1.5, "1.5"),
        (date(2026, 1, 2), "the date or time 2026-01-02"),
        (datetime(2026, 1, 2, tzinfo=UTC), "the date or time 2026-01-02 00:00:00+00:00"),
        (time(3, 4), "the date or time 03:04:00"),
        ([], "an empty list"),
        (["a", "b"], "a list of 2"),
        ({}, "an empty table"),
        ({"a": 1, "b c": 2}, 'a table with a, "b c"'),
        (None, "a NoneType"),
        ("x" * 101, f'"{"x" * 50}"... (101 characters)'),
        ("http://user:secret@host", '"http://***@host"'),
    ],
)
def test_shown_is_short_and_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_number_too_long_to_write_is_described() -> None:
    assert shown(1 << 40_000) == "a number of 40001 bits"


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAB\n-----END PRIVATE KEY-----",
        "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "  MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwN\nDg8QERITFBUWFxgZGhscHR4f\n",
    ],
)
def test_content_of_a_key_is_not_shown(secret: str) -> None:
    assert is_key_material(secret)
    assert shown(secret) == "the content of a key or certificate (not shown)"


def test_a_path_is_no_key_material() -> None:
    assert not is_key_material("/etc/plexigate/My-chat.example.org-private-key-2026-2027.pem")


@pytest.mark.parametrize("severity", Severity)
def test_travels_as_json(severity: Severity) -> None:
    problem = Problem("plexigate.toml", "listener.public.bind[0]", "nonsense", "an address", severity, 12, 5)
    assert Problem.from_json(problem.as_json()) == problem


def test_pins_in_uris_are_not_shown() -> None:
    assert shown("pkcs11:token=a?pin-value=sesam&x=y") == '"pkcs11:token=a?pin-value=***&x=y"'
    assert "sesam" not in shown("PKCS11:object=a?PIN-VALUE=sesam")
