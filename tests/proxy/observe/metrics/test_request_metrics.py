"""The metrics of requests."""

from proxy.observe.metrics.metrics import GROUPS
from proxy.observe.metrics.request_metrics import REQUESTS


def test_they_are_a_group_and_each_has_the_route_the_server_or_the_version_of_http() -> None:
    assert REQUESTS in GROUPS.values()
    assert all({"route", "server", "protocol"} & set(metric.labels) for metric in REQUESTS)
