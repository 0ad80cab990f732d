"""Shell that reads names from a configuration."""

import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from config.loader import load
from proxy.commands.manual.names import reading_names

EXAMPLE = Path(str(files("config") / "example.toml"))


def names(table: str, path: Path) -> list[str]:
    command = ["sh", "-c", reading_names(table, '"$1"'), "sh", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("table", ["identity", "issuer", "upstream"])
def test_names_are_those_that_the_program_reads(table: str) -> None:
    assert names(table, EXAMPLE) == sorted(getattr(load(EXAMPLE).config, table))


def test_nested_tables_have_names_as_well(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[payload.ring.chat]\n[payload.ring.b]\n[hsm.token.x]\n[payload.sessions]\n")
    assert names("payload.ring", tmp_path / "a.toml") == ["b", "chat"]
    assert names("hsm.token", tmp_path / "a.toml") == ["x"]


def test_routes_are_host_and_path(tmp_path: Path) -> None:
    text = '[[route]]\nhost = "a.example"\n[route.auth]\npath = "/no"\n[[route]]\npath = "/x"\nhost = "b.example"\n'
    (tmp_path / "a.toml").write_text(text)
    assert names("route", tmp_path / "a.toml") == ["a.example/", "b.example/x"]
    found = {f"{one.host}{one.path}" for one in load(EXAMPLE).config.route}
    assert set(names("route", EXAMPLE)) == found


def test_file_that_is_missing_has_no_names(tmp_path: Path) -> None:
    assert names("identity", tmp_path / "none.toml") == names("route", tmp_path / "none.toml") == []
