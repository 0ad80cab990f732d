"""Shell that reads names from a configuration."""

import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from config.loading.loader import load
from docker.building.manual.names import reading_names

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


def test_servers_are_those_of_all_upstreams(tmp_path: Path) -> None:
    text = (
        '[upstream.a]\nservers = ["http://10.0.0.1:80", { address = "https://b.example", weight = 2 }]\nca = "tls://no"\n'
        '[upstream.b]\nservers = [\n    "unix:/run/x.sock", # one\n    "tcp://10.0.0.3:6667",\n]\nca = "tls://no"\n'
        '[[route]]\nservers = ["http://no"]\n'
    )
    (tmp_path / "a.toml").write_text(text)
    servers = ["http://10.0.0.1:80", "https://b.example", "tcp://10.0.0.3:6667", "unix:/run/x.sock"]
    assert names("upstream.servers", tmp_path / "a.toml") == servers
    found = {str(one.address) for upstream in load(EXAMPLE).config.upstream.values() for one in upstream.servers}
    assert len(names("upstream.servers", EXAMPLE)) == len(found)
