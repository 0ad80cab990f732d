"""The manifests for Kubernetes: they fit each other, their schemas, and the configuration in them."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from config.schema import Config
from proxy.admin.listening import AdminSocketError, admin_socket
from proxy.admin.settings import default_socket
from proxy.commands.check import check
from tests.certificates import Authority

yaml = pytest.importorskip("yaml")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

PLACE = Path(__file__).parents[2] / "docker" / "kubernetes"
DOCKERFILE = (PLACE.parent / "Dockerfile").read_text()
# The oldest version that has preStop.sleep without being asked, and the newest of the schemas.
VERSIONS = ("1.30", "1.37")


@pytest.fixture(scope="module")
def manifests() -> dict[str, dict[str, Any]]:
    """What kubectl makes of the kustomization, by kind."""
    built = subprocess.run(["kubectl", "kustomize", PLACE], capture_output=True, text=True, timeout=60, check=True)
    return {one["kind"]: one for one in yaml.safe_load_all(built.stdout)}


@pytest.fixture
def pod(manifests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    template: dict[str, Any] = manifests["Deployment"]["spec"]["template"]
    return template


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (one,) = pod["spec"]["containers"]
    return dict(one)


@pytest.fixture
def configuration(manifests: dict[str, dict[str, Any]]) -> Config:
    return Config.model_validate(tomllib.loads(manifests["ConfigMap"]["data"]["plexigate.toml"]))


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_valid_by_the_schemas(manifests: dict[str, dict[str, Any]], version: str) -> None:
    assert set(manifests) == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, version, strict=True)
        assert "namespace" not in manifest["metadata"]


def test_check_of_the_schemas_sees_a_fault(manifests: dict[str, dict[str, Any]]) -> None:
    broken = {**manifests["Service"], "spec": {**manifests["Service"]["spec"], "prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def test_configuration_passes_plexigate_check(manifests: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    files = Authority(tmp_path).issue("kubernetes", ("chat.example.org",))
    files.key.chmod(0o440)  # what the kubelet makes of defaultMode 0400 with fsGroup
    text = manifests["ConfigMap"]["data"]["plexigate.toml"]
    for there, here in (
        ("/etc/plexigate-tls/tls.crt", str(files.certificate)),
        ("/etc/plexigate-tls/tls.key", str(files.key)),
        ("0.0.0.0:8443", "127.0.0.1:0"),
        ("0.0.0.0:9464", "127.0.0.1:0"),
        ("[admin]", f'[admin]\nsocket = "{tmp_path}/admin.sock"'),
    ):
        assert there in text
        text = text.replace(there, here)
    file = tmp_path / "plexigate.toml"
    file.write_text(text)
    # as root the check asks for another user, whom the pod has; docs/deploy.md reports the mode
    found = {problem.key: problem for problem in check(file) if problem.key != "user"}
    assert set(found) == {"identity.chat.key"}
    assert "mode 0440" in found["identity.chat.key"].found
    assert not found["identity.chat.key"].is_error


def test_pod_has_no_right_that_it_does_not_need(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["spec"]["automountServiceAccountToken"] is False
    security = pod["spec"]["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (True, 999, 999)
    assert "--uid 999 --gid 999" in DOCKERFILE
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod["spec"])


def test_ports_are_those_of_the_configuration(
    manifests: dict[str, dict[str, Any]], container: dict[str, Any], configuration: Config
) -> None:
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    (listener,) = configuration.listener.values()
    assert [bind.port for bind in listener.bind] == [ports["https"]]
    assert [bind.port for bind in configuration.admin.metrics_bind] == [ports["metrics"]]
    assert [one["targetPort"] for one in manifests["Service"]["spec"]["ports"]] == ["https"]
    ingress = manifests["NetworkPolicy"]["spec"]["ingress"]
    assert [("from" in one, [port["port"] for port in one["ports"]]) for one in ingress] == [
        (False, ["https"]),
        (True, ["metrics"]),
    ]


def test_probes_ask_what_their_purpose_is(container: dict[str, Any]) -> None:
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {one["port"] for one in asked.values()} == {"metrics"}
    assert {kind: one["path"] for kind, one in asked.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    # a scrape of workers that hang takes three seconds
    assert container["readinessProbe"]["timeoutSeconds"] > 3


def test_pod_leaves_the_endpoints_then_drains_then_ends(
    pod: dict[str, Any], container: dict[str, Any], configuration: Config
) -> None:
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before >= 2 * container["readinessProbe"]["periodSeconds"]
    assert pod["spec"]["terminationGracePeriodSeconds"] >= before + configuration.limits.drain_seconds + 10


def test_files_are_where_the_configuration_looks(
    pod: dict[str, Any], container: dict[str, Any], configuration: Config
) -> None:
    mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
    (identity,) = configuration.identity.values()
    assert identity.certificate is not None
    secret = mounts[str(Path(identity.certificate).parent)]
    assert volumes[secret["name"]]["secret"]["defaultMode"] == 0o400
    assert all(mounts[place]["readOnly"] for place in ("/etc/plexigate", "/etc/plexigate-tls"))
    # a mount within a mount that can only be read has no place to be made
    assert not [one for one in mounts for other in mounts if one != other and one.startswith(f"{other}/")]
    assert "RUNTIME_DIRECTORY=/run/plexigate" in DOCKERFILE
    assert volumes[mounts["/run"]["name"]]["emptyDir"]["medium"] == "Memory"
    assert 'CMD ["run", "/etc/plexigate/plexigate.toml"]' in DOCKERFILE


def test_a_pod_has_room_for_socket_and_state(pod: dict[str, Any], container: dict[str, Any], tmp_path: Path) -> None:
    volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
    mounts = {one["mountPath"]: volumes[one["name"]] for one in container["volumeMounts"]}
    (state,) = container["env"]
    (runtime,) = re.findall(r"RUNTIME_DIRECTORY=(\S+)", DOCKERFILE)
    socket = default_socket({"RUNTIME_DIRECTORY": runtime}, 999)
    for number, directory in enumerate((socket.parent, Path(state["value"]))):
        assert "emptyDir" in mounts[str(directory.parent)], "a directory in a volume, and not the volume"
        volume = tmp_path / str(number)  # short: the path of a socket has a limit
        volume.mkdir()
        volume.chmod(0o2777)  # of an emptyDir with fsGroup
        with pytest.raises(AdminSocketError, match="mode 2777"):
            admin_socket(volume / "admin.sock")
        admin_socket(volume / directory.name / "admin.sock").close()
        assert (volume / directory.name).stat().st_mode & 0o777 == 0o700


def test_an_upgrade_and_a_drained_node_leave_a_pod_that_serves(manifests: dict[str, dict[str, Any]]) -> None:
    spec, budget = manifests["Deployment"]["spec"], manifests["PodDisruptionBudget"]["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["replicas"] > budget["minAvailable"] >= 1
    labels = spec["template"]["metadata"]["labels"].items()
    for one in (spec["selector"], budget["selector"], manifests["NetworkPolicy"]["spec"]["podSelector"]):
        assert one["matchLabels"].items() <= labels
    assert manifests["Service"]["spec"]["selector"].items() <= labels
