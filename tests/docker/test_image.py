"""The container files agree with each other and with what lies in the repository; no engine is needed to tell."""

import re
from pathlib import Path

import pytest

from config.loader import load
from config.schema import CredentialConfig

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
COMPOSE = (ROOT / "docker" / "compose.yaml").read_text()
CONFIG = load(ROOT / "docker" / "compose.toml").config

COPIED = [
    source for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]
]
SERVICES = re.findall(r"^  (\w+):", COMPOSE.partition("\nservices:\n")[2].partition("\nvolumes:\n")[0], re.MULTILINE)


@pytest.mark.parametrize("source", COPIED)
def test_everything_copied_exists_and_is_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    assert f"!{source}" in (ROOT / "docker" / "Dockerfile.dockerignore").read_text().splitlines()


def test_everything_that_the_package_is_built_from_is_copied() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    packages = re.search(r"^packages = \[(.+)\]$", project, re.MULTILINE)
    readme = re.search(r'^readme = "(.+)"$', project, re.MULTILINE)
    assert packages is not None
    assert readme is not None
    assert {"pyproject.toml", "hatch_build.py", readme[1], *re.findall(r'"(\w+)"', packages[1])} <= set(COPIED)


def test_stage_that_is_built_by_default_is_the_proxy_without_root() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert last.startswith("installed AS plexigate\n")
    assert last.index("\nUSER plexigate\n") < last.index("\nENTRYPOINT ")


def test_hot_path_is_compiled_in_a_stage_of_its_own() -> None:
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL))
    assert "hot path compiled" in stages["built"]
    assert [name for name, lines in stages.items() if "gcc" in lines] == ["built"]
    assert "\nCOPY --from=built /opt/plexigate/venv venv\n" in stages["installed"]


def test_user_has_the_same_number_in_every_version_and_it_is_documented() -> None:
    """Keys on the host and state in volumes belong to it."""
    assert "groupadd --system --gid 999 plexigate" in DOCKERFILE
    assert "useradd --system --uid 999 --gid 999 " in DOCKERFILE
    assert "999:999" in DOCKERFILE.partition("\nFROM ")[0]
    assert "chown 999:999" in (ROOT / "docs" / "deploy.md").read_text()


def test_programs_in_the_image_are_where_they_are_called() -> None:
    assert "WORKDIR /opt/plexigate\n" in DOCKERFILE
    assert "python3 -m venv venv" in DOCKERFILE
    assert re.findall(r'^ENTRYPOINT \["(\S+)/bin/\w+"', DOCKERFILE, re.MULTILINE) == ["/opt/plexigate/venv"] * 2
    assert (ROOT / "docker" / "demo" / "chat.py").exists()
    assert (ROOT / "docker" / "demo" / "certificates.sh").exists()


def test_compose_builds_stages_that_exist() -> None:
    assert SERVICES == ["certificates", "chat", "proxy"]
    targets = re.findall(r"target: (\w+)", COMPOSE)
    assert len(targets) == len(SERVICES)
    assert set(targets) <= {"plexigate", "demo"} <= set(re.findall(r" AS (\S+)$", DOCKERFILE, re.MULTILINE))
    assert COMPOSE.count("context: .., dockerfile: docker/Dockerfile") == len(SERVICES)


def test_compose_mounts_the_configuration_where_the_image_looks_for_it() -> None:
    mounted = re.search(r"^      - \./(\S+):(\S+):ro$", COMPOSE, re.MULTILINE)
    assert mounted is not None
    assert (ROOT / "docker" / mounted[1]).exists()
    assert f'CMD ["run", "{mounted[2]}"]' in DOCKERFILE


def test_configuration_of_compose_names_its_ports_services_and_volume() -> None:
    (bind,) = CONFIG.listener["public"].bind
    assert f'"127.0.0.1:8443:{bind.port}"' in COMPOSE
    assert f"\nEXPOSE {bind.port}\n" in DOCKERFILE
    (server,) = CONFIG.upstream["chat"].servers
    assert server.address.host in SERVICES
    assert f'command: ["--bind", "0.0.0.0:{server.address.port}"]' in COMPOSE
    (credential,) = CONFIG.identity["demo"].credentials
    assert isinstance(credential, CredentialConfig)
    assert {Path(credential.certificate).parent, Path(str(credential.key[0])).parent} == {Path("/certificates")}


def test_compose_waits_longer_than_the_proxy_drains() -> None:
    grace = re.search(r"stop_grace_period: (\d+)s", COMPOSE)
    assert grace is not None
    assert int(grace[1]) > CONFIG.limits.drain_seconds
