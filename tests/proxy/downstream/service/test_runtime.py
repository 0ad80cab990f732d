"""What one configuration says: what is not said is off."""

from proxy.downstream.service.runtime import HttpRuntime
from proxy.http.routing import RouteTable
from tests.fakes_http import LIMITS


def test_without_more_there_is_no_upstream_and_the_log_has_the_least() -> None:
    runtime = HttpRuntime(RouteTable([]), LIMITS, logs_query=False)
    assert (runtime.upstreams, runtime.relays, runtime.error_pages) == ({}, {}, None)
    assert (runtime.log_fields, runtime.logs_wire_bytes, runtime.log_samples) == ((), False, {})
