"""Reading a configuration file."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.crosschecks.crosschecks import cross_check
from config.loading.loader import _understand, accepted, load, read_file, survey
from config.values.problems import ConfigError, Location, toml_key
from tests.broken_documents import copied_along
from tests.example_document import valid_keys

GOOD = """
[listener.public]
bind = "127.0.0.1:8443"
[identity.chat]
names = ["chat.example.org"]
certificate = "chat.pem"
key = "chat.key"
[upstream.chat]
servers = ["http://127.0.0.1:8000"]
[[route]]
host = "chat.example.org"
upstream = "chat"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.toml"


def problems(path: Path, content: str | bytes) -> list[str]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [str(replace(problem, line=None)).removeprefix(f"{path}: ") for problem in survey(path).problems]


def test_a_good_file_is_loaded_with_its_place(path: Path) -> None:
    path.write_text(GOOD)
    loaded = load(path)
    assert loaded.config.identity["chat"].names == ("chat.example.org",)
    assert loaded.file.path == path
    assert loaded.warnings == ()
    assert not loaded.file.omissions
    assert survey(path).is_usable


def test_warnings_do_not_stop_and_are_kept(path: Path) -> None:
    path.write_text(GOOD + '[upstream.old]\nservers = ["http://old"]\n')
    loaded = load(path)
    assert [warning.key for warning in loaded.warnings] == ["upstream.old"]
    assert survey(path).problems == loaded.warnings


def test_every_fault_is_reported_at_once(path: Path) -> None:
    faulty = """
    colour = "blue"
    [listener.public]
    bind = ["127.0.0.1:8443", "nowhere:1"]
    default = "files"
    [identity.chat]
    names = ["chat.example.org", "a b"]
    certificate = "chat.pem"
    [upstream.chat]
    servers = ["http://127.0.0.1:8000"]
    conections = 5
    [[route]]
    upstream = "chat"
    [[route]]
    host = "chat.example.org"
    upstream = "caht"
    [log]
    query = "no"
    [openssl]
    module_path = "modules"
    """
    assert [line.partition(": ")[0] for line in problems(path, faulty)] == [
        "listener.public.bind[1]",
        "identity.chat.names[1]",
        "upstream.chat.conections",
        "route[0].host",
        "log.query",
        "colour",
        "identity.chat",
        "listener.public.default",
        "route[1].upstream",
        "openssl.module_path",
    ]
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(caught.value.problems) == 10


def test_what_only_follows_from_a_fault_is_not_reported(path: Path) -> None:
    assert problems(path, GOOD.replace('"127.0.0.1:8443"', "5")) == [
        'listener.public.bind: found 5; allowed: an address and a port such as "0.0.0.0:443", or a list of such'
    ]
    assert [line.partition(": ")[0] for line in problems(path, GOOD.replace('"chat.key"', "5"))] == [
        "identity.chat.key"
    ]
    assert [line.partition(": ")[0] for line in problems(path, GOOD.replace('["chat.example.org"]', "[]"))] == [
        "identity.chat.names"
    ]
    assert [line.partition(": ")[0] for line in problems(path, GOOD.replace('"http://127.0.0.1:8000"', '"chat"'))] == [
        "upstream.chat.servers[0]"
    ]


def test_the_sound_part_of_a_faulty_file_can_be_judged_further(path: Path) -> None:
    problems(
        path,
        GOOD.replace("127.0.0.1:8443", "x")
        + '[[route]]\nhost = 5\n[[route]]\nhost = "chat.example.org"\nupstream = "chat"\n',
    )
    result = survey(path)
    assert not result.is_usable
    assert result.loaded is not None
    assert result.loaded.config.listener == {}
    assert result.loaded.file.key("route", 1) == "route[2]"


def test_an_unknown_key_in_an_unknown_table_is_reported_once(path: Path) -> None:
    assert [line.partition(": ")[0] for line in problems(path, GOOD + '[colours.sky]\nname = "blue"\n')] == ["colours"]


@pytest.mark.parametrize(
    ("content", "sentence", "place"),
    [
        ("a = ", "found no TOML: Invalid value;", (1, 5)),
        ("[log]\nfile = 'x\n", "found no TOML: Expected", (3, 1)),
        ("[log]\nquery = yes\n", "found no TOML: Invalid value;", (2, 9)),
        ("[log]\n[log]\n", "found no TOML: Cannot declare ('log',) twice;", (2, 5)),
        (b"[log]\nfile = '\xc3\xa9\xff'\n", "found a byte that is not UTF-8;", (2, 10)),
        ("a = " + "9" * 5_000, "found TOML that is too long or too deep to read", (None, None)),
        ("a = " + "[" * 5_000, "found TOML that is too long or too deep to read", (None, None)),
        (b"\xef\xbb\xbfwatch = true", "found the byte order mark (BOM) of UTF-8 before the first key;", (1, 1)),
        ("watch = true".encode("utf-16"), "found the byte order mark (BOM) of UTF-16 before", (1, 1)),
        ("#" * 1_048_577, "found more than 1_048_576 bytes", (None, None)),
    ],
)
def test_what_is_no_toml_is_refused_with_its_place(
    path: Path, content: str | bytes, sentence: str, place: tuple[int | None, int | None]
) -> None:
    (problem,) = problems(path, content)
    assert problem.startswith(sentence)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (refusal,) = caught.value.problems
    assert (refusal.line, refusal.column) == place


def test_each_fault_has_its_place_whoever_found_it(path: Path) -> None:
    """The schema, the rules between tables, the files: and a key that is missing has that of its table."""
    text = (
        GOOD.replace('upstream = "chat"', 'upstream = "none"')
        + '[openssl]\nproviders = 5\nmodule_path = "no"\n[[route]]\n'
    )
    path.write_text(text)
    lines = text.splitlines()
    found = {problem.key: problem for problem in survey(path).problems}
    for key, begins in {
        "route[0].upstream": 'upstream = "none"',
        "openssl.providers": "providers = 5",
        "openssl.module_path": "module_path",
        "route[1].host": "route]]",
    }.items():
        line, column = found[key].line, found[key].column
        assert line is not None
        assert column is not None
        assert lines[line - 1][column - 1 :].startswith(begins)


def test_a_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert (
        str(caught.value) == f"{path}: found No such file or directory when reading it; allowed: a readable TOML file"
    )


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


def test_a_device_and_a_file_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found a device; allowed: a regular file"):
        load(Path("/dev/zero"))
    (large := tmp_path / "large").write_bytes(bytes(1_048_577))
    with pytest.raises(ConfigError, match="more than"):
        load(large)


def test_directories_must_exist(path: Path) -> None:
    text = GOOD + '[openssl]\nmodule_path = "modules"\n[log]\nfile = "logs/access.jsonl"\n'
    assert [line.partition(";")[0] for line in problems(path, text)] == [
        'openssl.module_path: found "modules", which does not exist',
        'log.file: found "logs/access.jsonl", which does not exist',
    ]
    (path.parent / "modules").mkdir()
    (path.parent / "logs").mkdir()
    assert problems(path, text) == []


def test_a_key_in_the_file_is_never_repeated(path: Path) -> None:
    secret = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"  # noqa: S105
    pem = f"'''-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----'''"
    for place in ("chat.pem", "chat.key", "chat.example.org", "http://127.0.0.1:8000", "127.0.0.1:8443", "chat"):
        for text in (pem, f'"{secret}"', f'["{secret}"]'):
            path.write_text(GOOD.replace(f'"{place}"', text))
            result = survey(path)
            assert result.problems
            assert secret not in "\n".join(map(str, result.problems))
            assert secret not in str(ConfigError(result.problems)) + repr(ConfigError(result.problems))


_SCALARS = st.none().map(lambda _: "true") | st.sampled_from(
    ['""', '"chat"', "5", "-1", "1.5", "nan", "[]", "{}", "2026-01-01", '["x"]']
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.sampled_from(range(11)), max_size=4, unique=True),
    values=st.lists(_SCALARS, min_size=4, max_size=4),
)
def test_any_document_is_surveyed_to_the_end(path: Path, lines: list[int], values: list[str]) -> None:
    text = GOOD.strip().splitlines()
    for line, value in zip(lines, values, strict=False):
        key, equals, _ = text[line].partition(" = ")
        text[line] = f"{key} = {value}" if equals else f"[[{key.strip('[]')}]]"
    path.write_text("\n".join(text))
    result = survey(path)
    assert result.loaded is not None
    assert len(set(map(str, result.problems))) == len(result.problems)


def test_content_that_was_read_before_is_judged_as_the_file(path: Path) -> None:
    path.write_text(GOOD)
    content = read_file(path)
    path.unlink()
    assert accepted(content, path).config.identity.keys() == {"chat"}
    with pytest.raises(ConfigError) as caught:
        accepted(content.replace(b"[listener", b"mistake = 1\n[listener", 1), path)
    assert [problem.key for problem in caught.value.problems] == ["mistake"]


HSM = '[hsm]\nmodule = "hsm.so"\n[hsm.token.plexi]\npin_credential = "plexi-pin"\n'


def test_module_of_tokens_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD + HSM)
    (problem,) = survey(tmp_path / "a.toml").problems
    assert (problem.key, problem.found) == ("hsm.module", '"hsm.so", which is not there')
    (tmp_path / "hsm.so").touch()
    assert survey(tmp_path / "a.toml").problems == ()


def test_credentials_of_systemd_are_where_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hsm.so").touch()
    (tmp_path / "a.toml").write_text(GOOD + HSM)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert load(tmp_path / "a.toml").file.credentials is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/plexigate.service")
    loaded = load(tmp_path / "a.toml")
    assert loaded.file.credentials == Path("/run/credentials/plexigate.service")


# What no key takes: every type that TOML has, and texts and numbers that are out of all bounds.
NEVER: list[object] = [True, -1.5, 10**30, "a\r\nb\x00", [[]], date(2026, 1, 1), [], {}]
# Words with which pydantic begins its own sentences.
NOT_OURS = re.compile("Input|Value|String|List|Dictionary|Tuple|Unable|Field|Extra")


def places(value: object, way: Location = ()) -> Iterator[Location]:
    """Where each value of a document stands."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, entry in entries:
        yield (*way, name)
        yield from places(entry, (*way, name))


def with_value(document: dict[str, Any], place: Location, value: object) -> dict[str, Any]:
    changed: dict[str, Any] = copied_along(document, place)
    table: Any = changed
    for step in place[:-1]:
        table = table[step]
    table[place[-1]] = value
    return changed


def judge_refusal(document: dict[str, Any], place: Location, value: object) -> None:
    config, omissions, refused = _understand(with_value(document, place, value), "f")
    key, about = toml_key(place), f"{toml_key(place)} = {value!r}"
    assert not [one for one in refused if NOT_OURS.match(one.allowed)], about
    faults = [one for one in [*refused, *cross_check(config, "f", omissions)] if one.is_error]
    if omissions:  # else it was taken, and means something else for others
        others = [one for one in faults if not f"{key}.".startswith(one.key) and not one.key.startswith(key)]
        assert others == [], about


@pytest.mark.parametrize(
    "place",
    [
        ("listener", "irc", "protocol"),
        ("route", 0, "deny"),
        ("route", 0, "path"),
        ("route", 8, "admin_page", "tokens"),
    ],
)
def test_what_others_depend_on_is_no_fault_of_them_when_it_is_refused(place: Location) -> None:
    judge_refusal(valid_keys(), place, NEVER[0])


@pytest.mark.at_length
def test_a_value_that_is_refused_is_told_in_our_words_and_no_gap_for_a_fault() -> None:
    document = valid_keys()
    for number, place in enumerate(places(document)):
        judge_refusal(document, place, NEVER[number % len(NEVER)])
