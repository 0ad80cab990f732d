"""The Helm chart, rendered by Helm's own code: it says what the plain manifests say."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

DOCKER = Path(__file__).parents[2] / "docker"
PLACE = DOCKER / "helm"
PROJECT = (DOCKER.parent / "pyproject.toml").read_text()


@pytest.fixture(scope="module")
def chart(helm: Any) -> Iterator[Any]:
    with helm.Chart.load(str(PLACE)) as loaded:
        yield loaded


def rendered(chart: Any, values: dict[str, Any] | None = None, name: str = "plexigate") -> dict[str, dict[str, Any]]:
    """The manifests by kind."""
    texts = chart.render(values or {}, name=name, namespace="chat").items()
    manifests = (text for path, text in texts if path.endswith(".yaml"))
    return {one["kind"]: one for text in manifests for one in yaml.safe_load_all(text) if one}


def test_helm_finds_no_fault(helm: Any, chart: Any) -> None:
    found = [str(one) for one in helm.lint(str(PLACE))["messages"] if "icon is recommended" not in str(one)]
    assert found == []
    chart.validate_schema({})


def test_chart_says_what_the_plain_manifests_say(chart: Any) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", DOCKER / "kubernetes"], capture_output=True, text=True, timeout=60, check=True
    )
    plain = {one["kind"]: one for one in yaml.safe_load_all(built.stdout)}
    assert rendered(chart) == plain
    version = f'version = "{chart.version}"'
    assert version in PROJECT
    assert f'appVersion: "{chart.version}"' in (PLACE / "Chart.yaml").read_text()


def test_http3_opens_the_port_of_udp_as_the_plain_manifests_do(chart: Any) -> None:
    place = DOCKER / "kubernetes-http3"
    built = subprocess.run(["kubectl", "kustomize", place], capture_output=True, text=True, timeout=60, check=True)
    manifests = rendered(chart, {"service": {"type": "LoadBalancer", "http3": True}})
    assert manifests == {one["kind"]: one for one in yaml.safe_load_all(built.stdout)}
    (port,) = (one for one in manifests["Service"]["spec"]["ports"] if one.get("protocol") == "UDP")
    assert (port["port"], port["targetPort"]) == (443, "http3")


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 3, "service": {"type": "ClusterIP", "annotations": {"a": "b"}}, "readinessPath": "/healthz"},
        {"networkPolicy": {"enabled": False}, "image": {"repository": "r.example.org/p", "tag": "2"}},
    ],
)
@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_other_values_make_valid_manifests(chart: Any, values: dict[str, Any], version: str) -> None:
    chart.validate_schema(values)
    manifests = rendered(chart, values, "edge")
    assert ("NetworkPolicy" in manifests) == ("networkPolicy" not in values)
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, version, strict=True)
        assert manifest["metadata"]["name"] == "edge"
    template = manifests["Deployment"]["spec"]["template"]
    assert (
        manifests["Service"]["spec"]["selector"] == template["metadata"]["labels"] == {"app.kubernetes.io/name": "edge"}
    )


@pytest.mark.parametrize(
    ("values", "is_warned"),
    [({}, True), ({"replicas": 1}, False), ({"replicas": 3, "etcdSecret": "plexigate-etcd"}, False)],
)
def test_pods_that_share_nothing_are_warned_of(chart: Any, values: dict[str, Any], is_warned: bool) -> None:  # noqa: FBT001
    (notes,) = (text for path, text in chart.render(values, name="edge", namespace="chat").items() if "NOTES" in path)
    assert ("etcdSecret" in notes) == is_warned
    assert is_warned or not notes.strip()


@pytest.mark.parametrize(
    "values",
    [{"replicas": 0}, {"replica": 2}, {"service": {"type": "Other"}}, {"readinessPath": "/"}, {"tlsSecret": ""}],
)
def test_values_that_cannot_work_are_refused(helm: Any, chart: Any, values: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmError):
        chart.validate_schema(values)
