"""The container files agree with each other and with what lies in the repository; no engine is needed to tell."""

import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from config.loading.loader import load
from config.schema import Config
from config.tables.issuers import AcmeIssuerConfig
from config.tables.rotation import IssuedCredential

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
STAGES = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL))

COPIED = [
    source for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]
]


@cache
def configuration() -> Config:
    """docker/compose.toml."""
    return load(ROOT / "docker" / "compose.toml").config


@cache
def composition() -> dict[str, Any]:
    """docker/compose.yaml as Docker reads it: checked against the schema, anchors and paths resolved."""
    command = ["docker-compose", "--file", str(ROOT / "docker" / "compose.yaml"), "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def services() -> dict[str, Any]:
    found: dict[str, Any] = composition()["services"]
    return found


@pytest.mark.parametrize("source", COPIED)
def test_everything_copied_exists_and_is_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    kept = [
        line[1:] for line in (ROOT / "docker" / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    assert any(source == one or source.startswith(f"{one}/") for one in kept)


def test_everything_that_the_package_is_built_from_is_copied() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    packages = re.search(r"^packages = \[(.+)\]$", project, re.MULTILINE)
    readme = re.search(r'^readme = "(.+)"$', project, re.MULTILINE)
    assert packages is not None
    assert readme is not None
    assert {"pyproject.toml", "hatch_build.py", readme[1], *re.findall(r'"(\w+)"', packages[1])} <= set(COPIED)


def test_stage_that_is_built_by_default_is_the_proxy_without_root() -> None:
    name, last = list(STAGES.items())[-1]
    assert name == "plexigate"
    assert "\nUSER plexigate\n" in last
    assert last.index("\nUSER plexigate\n") < last.index("\nENTRYPOINT ")
    assert "\nRUN " not in last, "it has no shell's traces: only what the other stages have made"


def test_hot_path_is_compiled_in_a_stage_of_its_own() -> None:
    assert "hot path compiled" in STAGES["built"]
    assert [name for name, lines in STAGES.items() if "gcc" in lines] == ["built"]
    assert "\nCOPY --from=built /opt/plexigate/venv /opt/plexigate/venv\n" in STAGES["plexigate"]
    assert "--without-pip venv" in STAGES["built"]


def test_user_has_the_same_number_in_every_version_and_it_is_documented() -> None:
    """Keys on the host and state in volumes belong to it. Packages make users too, so it is made first."""
    debian = STAGES["debian"]
    assert "groupadd --system --gid 999 plexigate" in debian
    assert debian.index("useradd --system --uid 999 --gid 999 ") < debian.index("apt-get install")
    assert "999:999" in DOCKERFILE.partition("\nFROM ")[0]
    assert "chown 999:999" in (ROOT / "docs" / "deploy.md").read_text()


def test_programs_in_the_image_are_where_they_are_called() -> None:
    assert "WORKDIR /opt/plexigate\n" in STAGES["built"]
    assert "python3 -m venv --without-pip venv" in STAGES["built"]
    assert re.findall(r'^ENTRYPOINT \["(\S+)/bin/\w+"', DOCKERFILE, re.MULTILINE) == ["/opt/plexigate/venv"] * 2
    assert "\nENV PATH=/opt/plexigate/venv/bin:" in STAGES["plexigate"]
    assert (ROOT / "docker" / "demo" / "chat.py").exists()


def test_labels_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="(.*?)"', STAGES["plexigate"]))
    assert labels == {
        "title": "Plexigate",
        "description": project["description"],
        "version": project["version"],
        "licenses": project["license"],
        "revision": "${REVISION}",
    }


def test_bill_of_materials_is_in_the_image_and_documented() -> None:
    place = "/usr/share/doc/plexigate/sbom.cdx.json"
    assert f"\nCOPY --from=materials /image/sbom.cdx.json {place}\n" in STAGES["plexigate"]
    assert "--report report.json" in STAGES["built"]
    assert place in (ROOT / "docs" / "deploy.md").read_text()


def test_health_is_asked_in_the_same_way_where_the_image_has_no_health_check() -> None:
    """The default format of buildah and podman has none."""
    found = re.search(r"^HEALTHCHECK (.*) CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found is not None
    command = json.loads(found[2])
    options = dict(re.findall(r"--([\w-]+)=(\w+)", found[1]))
    check = services()["proxy"]["healthcheck"]
    assert check["test"] == ["CMD", *command]
    assert {key: check[key.replace("-", "_")] for key in options} == options
    unit = (ROOT / "docker" / "plexigate.container").read_text()
    assert f"\nHealthCmd={json.dumps(command)}\n" in unit
    assert {f"Health{key.title().replace('-', '')}={value}" for key, value in options.items()} <= set(unit.splitlines())
    deploy = (ROOT / "docs" / "deploy.md").read_text()
    assert "--format docker" in deploy
    assert "--health-cmd" in deploy


def test_quadlet_runs_the_image_as_the_documents_do() -> None:
    lines = (ROOT / "docker" / "plexigate.container").read_text().splitlines()
    assert {"ReadOnly=true", "DropCapability=all", "NoNewPrivileges=true"} <= set(lines)
    (stop,) = [line.partition("=")[2] for line in lines if line.startswith("StopTimeout=")]
    assert int(stop) > configuration().limits.drain_seconds + 10


def test_composition_builds_stages_that_exist() -> None:
    assert set(services()) == {"token", "chat", "pebble", "proxy"}
    for service in services().values():
        assert service["build"]["dockerfile"] == "docker/Dockerfile"
        assert Path(service["build"]["context"]) == ROOT
        assert service["build"]["target"] in STAGES


def test_each_service_of_the_composition_may_do_as_little_as_possible() -> None:
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.keys() & {"cap_add", "privileged", "user", "devices", "pid", "ipc"}, name
    published = [name for name, service in services().items() if service.get("ports")]
    assert published == ["proxy"]
    assert {port["host_ip"] for port in services()["proxy"]["ports"]} == {"127.0.0.1"}
    internal = {name for name, network in composition()["networks"].items() if network.get("internal")}
    assert {*services()["chat"]["networks"], *services()["pebble"]["networks"]} <= internal
    assert services()["token"]["network_mode"] == "none"
    shared = {name for name, one in services().items() if "state" in [v["source"] for v in one.get("volumes", [])]}
    assert shared == {"proxy", "token"}, "no other service sees the PIN"


def test_composition_mounts_the_configuration_where_the_image_looks_for_it() -> None:
    mounts = {one["source"]: one for one in services()["proxy"]["volumes"]}
    mounted = mounts[str(ROOT / "docker" / "compose.toml")]
    assert mounted["read_only"] is True
    assert f'CMD ["run", "{mounted["target"]}"]' in DOCKERFILE
    assert mounts["authority"]["read_only"] is True


def test_configuration_of_the_composition_names_its_ports_services_and_volumes() -> None:
    (bind,) = configuration().listener["public"].bind
    proxy = services()["proxy"]
    assert [(one["target"], one["protocol"]) for one in proxy["ports"]] == [(bind.port, "tcp"), (bind.port, "udp")]
    assert f"\nEXPOSE {bind.port}\n" in DOCKERFILE
    assert f"\nEXPOSE {bind.port}/udp\n" in DOCKERFILE
    (server,) = configuration().upstream["chat"].servers
    assert server.address.host in services()
    assert services()["chat"]["command"] == ["--bind", f"0.0.0.0:{server.address.port}"]
    (credential,) = configuration().identity["demo"].credentials
    assert isinstance(credential, IssuedCredential)
    issuer = configuration().issuer[credential.issuer]
    assert isinstance(issuer, AcmeIssuerConfig)
    script = (ROOT / "docker" / "demo" / "authority.sh").read_text()
    assert issuer.directory == "https://pebble:14000/dir"
    assert '"listenAddress": "0.0.0.0:14000"' in script
    assert f'"tlsPort": {bind.port}' in script
    assert proxy["networks"]["authority"]["aliases"] == [str(configuration().identity["demo"].names[0])]
    directory = services()["token"]["command"][-1]
    hsm = configuration().hsm
    assert hsm is not None
    assert str(hsm.token["plexi"].pin_file) == f"{directory}/plexi.pin"
    assert proxy["environment"] == {"SOFTHSM2_CONF": f"{directory}/softhsm2.conf"}
    assert {one["target"] for one in proxy["volumes"]} >= {"/authority", "/var/lib/plexigate"}


def test_composition_waits_longer_than_the_proxy_drains() -> None:
    grace = re.fullmatch(r"(\d+)s", services()["proxy"]["stop_grace_period"])
    assert grace is not None
    assert int(grace[1]) > configuration().limits.drain_seconds


def pinned(name: str) -> dict[str, int]:
    """The packages of a file of constraints, each with the number of its hashes."""
    found: dict[str, int] = {}
    for line in (ROOT / name).read_text().replace("\\\n", " ").splitlines():
        if line.startswith("#"):
            continue
        named = re.match(r"([a-z0-9-]+)==\S+ ", line)
        assert named is not None, line
        assert named[1] not in found
        found[named[1]] = len(re.findall(r" --hash=sha256:[0-9a-f]{64}(?= |$)", line))
    return found


def test_every_package_is_pinned_by_hashes_and_once() -> None:
    program, build, dev = (pinned(f"constraints{part}.txt") for part in ("", "-build", "-dev"))
    assert min([*program.values(), *build.values(), *dev.values()]) >= 1
    assert len(program | build | dev) == len(program) + len(build) + len(dev)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {"": project["dependencies"], **project["optional-dependencies"]}
    names = {
        part: {re.sub("[._]", "-", re.match(r"[\w.-]+", one)[0]).lower() for one in ones}  # type: ignore[index]
        for part, ones in needed.items()
    }
    assert names[""] <= set(program)
    assert names["build"] <= set(program | build)
    assert names["dev"] - {"plexigate"} <= set(program | build | dev)


@pytest.mark.parametrize("path", ["docker/Dockerfile", "debian/rules", "dev"])
def test_no_package_is_installed_without_its_hash(path: str) -> None:
    text = (ROOT / path).read_text().replace("\\\n", " ")
    lists = [one for one in re.split("&&|\n", text) if re.search(r'install\b.* (-r |"\$@")|_TREE\).* -r ', one)]
    assert lists
    assert [one for one in lists if "--require-hashes" not in one] == []
    # pip takes no hashes from there
    assert "-c constraints" not in text
    assert "PIP_CONSTRAINT" not in text


def test_base_is_named_by_its_digest() -> None:
    assert re.search(r"^ARG BASE=debian:13-slim@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) <= {"${BASE}", "debian", "built", "scratch"}
