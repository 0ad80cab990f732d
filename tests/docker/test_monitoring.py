"""What Prometheus and Grafana are given: it names what the product has, and Prometheus understands it."""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from proxy.observe.alert_kinds import AlertKind
from proxy.observe.metrics.metric import Metric, MetricKind
from proxy.observe.metrics.metrics import METRICS
from tests import monitoring_rules

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "docker" / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((PLACE / "grafana-dashboard.json").read_text())
BY_NAME = {metric.name: metric for metric in METRICS}
# Of Prometheus, or of every series that it scrapes.
OF_SCRAPES = frozenset({"job", "instance", "le"})
WIDTH = 24


def rules() -> list[dict[str, Any]]:
    """The rules of both files."""
    files = [yaml.safe_load((PLACE / name).read_text()) for name in ("alerts.yml", "thresholds.yml")]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


RULES = rules()
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each query of the dashboard, with the title of its panel."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


def plain(expression: str) -> str:
    """A query as Prometheus gets it from Grafana."""
    return expression.replace("$__rate_interval", "5m").replace("$instance", ".*")


EXPRESSIONS = [
    *(rule["expr"] for rule in RULES),
    *(plain(target["expr"]) for _, target in targets()),
    *(plain(one["expr"]) for one in DASHBOARD["annotations"]["list"]),
]


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run Prometheus's own check."""
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)


def metric_of(name: str) -> Metric | None:
    """The metric of a series, also of the parts of a histogram."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    found = BY_NAME.get(base)
    if found is not None and found.kind is MetricKind.HISTOGRAM:
        return found if base != name else None  # a histogram has no series of its own name
    return BY_NAME.get(name)


def test_prometheus_takes_configuration_and_rules() -> None:
    for arguments in (
        ("check", "config", PLACE / "prometheus.yml"),
        ("check", "rules", "--lint=all", "--lint-fatal", PLACE / "alerts.yml", PLACE / "thresholds.yml"),
        ("test", "rules", PLACE / "tests" / "rules.yml"),
    ):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_query_of_the_dashboard_can_be_parsed(tmp_path: Path) -> None:
    several = [{"record": f"q{number}", "expr": expression} for number, expression in enumerate(EXPRESSIONS)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": several}]}))  # JSON is YAML
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_metrics_and_labels_are_those_of_the_product(expression: str) -> None:
    for name, matchers in re.findall(r"\b(plexigate_\w+)(?:\{([^}]*)\})?", expression):
        metric = metric_of(name)
        assert metric is not None, name
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert used <= {*metric.labels, *OF_SCRAPES}, (name, used)
    for name in re.findall(r"plexigate:[\w:]+", expression):
        assert name in RECORDED


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_sums_are_by_labels_that_the_series_have(expression: str) -> None:
    names = re.findall(r"plexigate[_:][\w:]+", expression)
    known = {*OF_SCRAPES}
    for name in names:
        metrics = re.findall(r"plexigate_\w+", RECORDED[name]) if name in RECORDED else [name]
        known |= {label for one in metrics for label in (metric_of(one) or BY_NAME[one]).labels}
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert {label.strip() for label in group.split(",")} <= known, group


def test_each_alert_of_the_product_has_a_rule() -> None:
    assert (PLACE / "alerts.yml").read_text() == monitoring_rules.rules()
    named = {rule["alert"] for rule in ALERTS}
    assert {monitoring_rules.alert_name(kind) for kind in AlertKind if kind is not AlertKind.TEST} <= named


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_alert_says_how_urgent_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "serious", "warning", "{{ $labels.urgency }}"}
    assert rule["annotations"]["summary"].endswith(".")
    file, _, section = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert section in anchors


def test_each_threshold_is_tried_with_series() -> None:
    tried = (PLACE / "tests" / "rules.yml").read_text()
    for rule in yaml.safe_load((PLACE / "thresholds.yml").read_text())["groups"][1]["rules"]:
        assert f'alertname="{rule["alert"]}"' in tried  # fires
        assert f"alertname: {rule['alert']}, exp_alerts: []" in tried  # does not


def test_dashboard_has_what_grafana_asks_for() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", DASHBOARD["uid"])
    assert (DASHBOARD["title"], DASHBOARD["schemaVersion"]) == ("Plexigate", 39)
    assert "id" not in DASHBOARD  # of one installation
    assert "__inputs" not in DASHBOARD
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert set(variables) == {"datasource", "instance"}
    assert DASHBOARD["time"]["from"].startswith("now-")


def test_panels_lie_beside_each_other() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= WIDTH
        assert place["h"] >= 1
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        is_apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert is_apart, (one, other)


def test_panels_ask_the_chosen_source_about_the_chosen_proxies() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in DASHBOARD["panels"]:
        if panel["type"] == "row":
            assert panel["panels"] == []
            continue
        assert panel["type"] in {"stat", "timeseries"}
        assert panel["datasource"] == source
        assert panel["targets"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
    for title, target in targets():
        assert target["datasource"] == source, title
        assert 'job="plexigate", instance=~"$instance"' in target["expr"], title
