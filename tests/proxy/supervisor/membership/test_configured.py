"""A node as `[fleet]` has it: its files are looked at before it starts."""

from pathlib import Path

import pytest

from certs.sealing.key_file import create_key
from certs.sealing.recipients import RecipientKem
from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from config.schema import RateConfig, RatePer
from proxy.limits.rates import FleetLimit
from proxy.supervisor.membership.configured import fleet_limits, fleet_problems, member_of, node_name
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from tests.certificates import Authority
from tests.configurations import Site


def loaded_of(directory: Path, fleet: str, level: str = "") -> LoadedConfig:
    site = Site.make(directory)
    create_key(directory / "sealing.key")
    sealing = f'[sealing]\nkey = "{directory}/sealing.key"\ndirectory = "{directory}/state"\n'
    text = site.minimal.replace("[listener.public]\n", f"[listener.public]\n{level}")
    return load(site.write(f"{text}{sealing}[fleet]\n{fleet}\n"))


def test_files_that_are_there_are_no_problem(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "etcd authority")
    node = authority.issue("node")
    files = f'ca = "{authority.path}"\ncertificate = "{node.certificate}"\nkey = "{node.key}"'
    loaded = loaded_of(tmp_path, f'etcd = "https://127.0.0.1:1"\nname = "edge-1"\n{files}')
    assert [*fleet_problems(loaded)] == []


@pytest.mark.parametrize("content", [None, "no PEM"])
def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    loaded = loaded_of(tmp_path, f'etcd = "https://127.0.0.1:1"\nname = "edge-1"\nca = "{tmp_path}/ca.pem"')
    (problem,) = fleet_problems(loaded)
    assert problem.is_error
    assert problem.key == "fleet"


@pytest.mark.parametrize(
    ("content", "mode", "found"),
    [
        ("secret\n", 0o600, None),
        ("secret", 0o640, "mode 0640"),
        ("\n", 0o600, "1 bytes"),
        ("s" * 2000, 0o600, "1001 bytes"),
    ],
)
def test_a_password_is_in_a_file_of_its_owner(tmp_path: Path, content: str, mode: int, found: str | None) -> None:
    path = tmp_path / "password"
    path.touch(mode)
    path.chmod(mode)
    path.write_text(content)
    user = f'user = "edge-1"\npassword_file = "{path}"'
    loaded = loaded_of(tmp_path, f'etcd = "http://127.0.0.1:1"\nname = "edge-1"\n{user}')
    problems = [*fleet_problems(loaded)]
    assert [one.found for one in problems] == ([] if found is None else [found])
    assert "secret" not in "".join(map(str, problems))


@pytest.mark.parametrize("keys", [["fleet.certificate"], []])
def test_a_user_has_a_certificate_without_a_common_name(tmp_path: Path, keys: list[str]) -> None:
    authority = Authority(tmp_path, "etcd authority")
    node = authority.issue("node", is_named=bool(keys))
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text("secret")
    files = f'ca = "{authority.path}"\ncertificate = "{node.certificate}"\nkey = "{node.key}"'
    user = f'user = "edge-1"\npassword_file = "{password}"'
    loaded = loaded_of(tmp_path, f'etcd = "https://127.0.0.1:1"\nname = "edge-1"\n{files}\n{user}')
    assert [one.key for one in fleet_problems(loaded)] == keys


def test_a_password_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    user = 'user = "edge-1"\npassword_file = "/nowhere/password"'
    loaded = loaded_of(tmp_path, f'etcd = "http://127.0.0.1:1"\nname = "edge-1"\n{user}')
    assert [one.key for one in fleet_problems(loaded)] == ["fleet.password_file"]


@pytest.mark.parametrize(
    ("level", "kem"),
    [("", RecipientKem.MLKEM768_X25519), ('level = "quantum-safe"\n', RecipientKem.MLKEM1024_P384)],
)
async def test_a_node_is_made_of_its_configuration(tmp_path: Path, level: str, kem: RecipientKem) -> None:
    loaded = loaded_of(tmp_path, 'etcd = "http://127.0.0.1:1"\nname = "edge-1"\nprefix = "/a"', level)
    vault = Safe(now_in_utc).vault(loaded)
    assert vault is not None
    member = member_of(loaded, lambda: vault, [], list[object]().append, lambda: 0.0)
    await member._begin()
    assert member.name == "edge-1"
    assert member.state.private.kem is kem
    assert (tmp_path / "state" / "fleet.sealed").stat().st_mode & 0o777 == 0o600


def test_limits_of_all_nodes_are_found_with_their_names(tmp_path: Path) -> None:
    loaded = loaded_of(tmp_path, 'etcd = "http://127.0.0.1:1"\nname = "edge-1"')
    route, listener = loaded.config.route[0], loaded.config.listener["public"]
    assert [*fleet_limits(loaded.config)] == []
    rate = RateConfig(requests_per_second=5.0, burst=1, per=RatePer.FLEET)
    of_fleet = loaded.config.model_copy(
        update={
            "route": (route.model_copy(update={"rate": rate}), route),
            "limits": loaded.config.limits.model_copy(update={"fleet_connections": 500}),
        }
    )
    assert [*fleet_limits(of_fleet)] == [
        FleetLimit(f"rate of {route.entry_name}", 5.0),
        FleetLimit("connections of public", 500.0, "public"),
    ]
    assert listener.limits.fleet_connections is None


@pytest.mark.parametrize(("host", "name"), [("edge-7.example.org", "edge-7"), ("edge_7", "edge_7"), ("-", None)])
def test_a_node_without_a_name_is_called_as_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, name: str | None
) -> None:
    monkeypatch.setattr("proxy.supervisor.membership.configured.gethostname", lambda: host)
    loaded = loaded_of(tmp_path, 'etcd = "http://127.0.0.1:1"')
    assert [one.key for one in fleet_problems(loaded)] == ([] if name else ["fleet.name"])
    assert node_name(loaded.config.fleet) == (name or host)
