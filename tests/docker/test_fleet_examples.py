"""The examples of fleets: a composition of three nodes and three members of etcd, and pods that are nodes.

No engine of containers runs here: the files are read as Docker and kubectl read them, and what they run is run with other paths.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.commands.check import check
from tests.certificates import Authority

yaml = pytest.importorskip("yaml")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

DOCKER = Path(__file__).parents[2] / "docker"
MEMBERS = ("etcd-1", "etcd-2", "etcd-3")
NODES = ("edge-1", "edge-2", "edge-3")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """Those of docker/fleet/compose.yaml as Docker reads it."""
    command = ["docker-compose", "--file", str(DOCKER / "fleet" / "compose.yaml"), "config", "--format", "json"]
    read = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, dict[str, Any]] = json.loads(read.stdout)["services"]
    return found


@pytest.fixture(scope="module")
def stateful_set() -> dict[str, Any]:
    """What kubectl makes of docker/kubernetes-fleet."""
    built = subprocess.run(
        ["kubectl", "kustomize", DOCKER / "kubernetes-fleet"], capture_output=True, text=True, timeout=60, check=True
    )
    manifests = {one["kind"]: one for one in yaml.safe_load_all(built.stdout)}
    assert set(manifests) == {"ConfigMap", "StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"}
    found: dict[str, Any] = manifests["StatefulSet"]
    return {**found, "configuration": manifests["ConfigMap"]["data"]["plexigate.toml"]}


def test_members_of_etcd_name_each_other_and_the_nodes_name_them(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == {"authority", "chat", *MEMBERS, *NODES}
    configuration = (DOCKER / "fleet" / "plexigate.toml").read_text()
    for name in MEMBERS:
        environment = services[name]["environment"]
        assert environment["ETCD_NAME"] == name
        assert f"{name}={environment['ETCD_INITIAL_ADVERTISE_PEER_URLS']}" in environment["ETCD_INITIAL_CLUSTER"]
        assert f'"{environment["ETCD_ADVERTISE_CLIENT_URLS"]}"' in configuration
    assert len({services[name]["environment"]["ETCD_DATA_DIR"] for name in MEMBERS}) == 3
    assert [services[name]["hostname"] for name in NODES] == list(NODES)
    own = [
        one["source"] for name in NODES for one in services[name]["volumes"] if one["target"] == "/var/lib/plexigate"
    ]
    assert sorted(own) == list(NODES)


def test_what_the_composition_runs_makes_what_its_configuration_names(
    services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    authority = tmp_path / "authority"
    authority.mkdir()
    for _ in range(2):  # a second start changes nothing
        subprocess.run(["sh", str(DOCKER / "fleet" / "authority.sh"), str(authority)], check=True, capture_output=True)
        assert {f"{authority}/{name}" for name in MEMBERS} <= {str(one) for one in authority.iterdir() if one.is_dir()}
    environment = services["etcd-1"]["environment"]
    files = [value for name, value in environment.items() if name.endswith("FILE")]
    assert files
    assert all((authority / Path(file).name).is_file() for file in files)
    (script,) = services["edge-1"]["command"]
    making, _, running = script.partition("exec ")
    assert running.strip() == "plexigate run /etc/plexigate/plexigate.toml"
    run(making.replace("/var/lib/plexigate", str(tmp_path)))
    text = (DOCKER / "fleet" / "plexigate.toml").read_text().replace("/authority/", f"{authority}/")
    require_usable(text.replace("/var/lib/plexigate", str(tmp_path)), tmp_path)


@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_pods_of_a_fleet_are_valid_and_keep_their_disks(stateful_set: dict[str, Any], version: str) -> None:
    manifest = {name: one for name, one in stateful_set.items() if name != "configuration"}
    kubernetes_validate.validate(manifest, version, strict=True)
    spec = manifest["spec"]
    assert [one["metadata"]["name"] for one in spec["volumeClaimTemplates"]] == ["state"]
    pod = spec["template"]["spec"]
    assert "state" not in {one["name"] for one in pod["volumes"]}
    (container,), (making,) = pod["containers"], pod["initContainers"]
    assert making["image"] == container["image"]
    assert making["env"] == container["env"]
    for one in (container, making):
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"name": "state", "mountPath": "/var/lib/plexigate"} in one["volumeMounts"]


def test_the_chart_says_the_same(helm: Any, stateful_set: dict[str, Any]) -> None:
    with helm.Chart.load(str(DOCKER / "helm")) as chart:
        texts = chart.render(
            {"replicas": 3, "etcdSecret": "plexigate-etcd"}, name="plexigate", namespace="chat"
        ).values()
    (rendered,) = [one for text in texts for one in yaml.safe_load_all(text) if one and one["kind"] == "StatefulSet"]
    assert rendered == {name: one for name, one in stateful_set.items() if name != "configuration"}


def test_what_a_pod_runs_makes_what_its_configuration_names(stateful_set: dict[str, Any], tmp_path: Path) -> None:
    (making,) = stateful_set["spec"]["template"]["spec"]["initContainers"]
    assert making["command"] == ["/bin/sh", "-euc"]
    (script,) = making["args"]
    for _ in range(2):
        run(script.replace("/var/lib/plexigate", str(tmp_path)))
    authority = Authority(tmp_path)
    site, node = authority.issue("tls", ("chat.example.org",)), authority.issue("node")
    text = stateful_set["configuration"]
    for there, here in (
        ("/etc/plexigate-tls/tls.crt", str(site.certificate)),
        ("/etc/plexigate-tls/tls.key", str(site.key)),
        ("/etc/plexigate-etcd/node.pem", str(node.certificate)),
        ("/etc/plexigate-etcd/node.key", str(node.key)),
        ("/etc/plexigate-etcd/ca.pem", str(authority.path)),
        ("/var/lib/plexigate", str(tmp_path)),
        ("0.0.0.0:9464", "127.0.0.1:0"),
    ):
        assert there in text
        text = text.replace(there, here)
    require_usable(text, tmp_path)


def run(script: str) -> None:
    """Run a script of an example, with the program of this environment."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(["/bin/sh", "-euc", script], env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def require_usable(text: str, directory: Path) -> None:
    """Nothing in this configuration is an error."""
    file = directory / "plexigate.toml"
    socket = f'socket = "{directory}/admin.sock"\n'
    text = text.replace("0.0.0.0:8443", "127.0.0.1:0")
    file.write_text(
        text.replace("[admin]\n", f"[admin]\n{socket}") if "[admin]" in text else f"{text}[admin]\n{socket}"
    )
    assert [str(problem) for problem in check(file) if problem.is_error] == []
