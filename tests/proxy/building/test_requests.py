"""What requests are held to."""

import dataclasses

import pytest

from proxy.downstream.admission import RouteTarget
from proxy.limits.requests import RequestRate
from proxy.tls.capabilities import Capabilities
from proxy.worker.generation import Generation
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site, limits
from tests.generations import built


def test_every_limit_of_http_reaches_its_place(site: Site, capabilities: Capabilities) -> None:
    """Each gets a value of its own, which is then found in exactly one place."""
    numbers = [
        "head_bytes",
        "target_bytes",
        "header_count",
        "header_bytes",
        "chunk_line_bytes",
        "chunk_overhead_bytes",
        "trailer_bytes",
        "trailer_count",
        "pipelined_bytes",
        "websocket_message_bytes",
        "websocket_fragments",
        "response_head_bytes",
        "response_header_count",
        "early_responses",
        "body_bytes_per_second",
        "response_bytes_per_second",
        "http2_streams",
        "http2_resets",
        "http2_control_frames",
    ]
    times = [
        "keep_alive_timeout",
        "write_idle_timeout",
        "head_timeout",
        "body_idle_timeout",
        "websocket_idle_timeout",
        "websocket_close_timeout",
        "http2_settings_timeout",
    ]
    rates = ["http2_resets_per_second", "http2_control_frames_per_second"]
    windows = ["http2_stream_window_bytes", "http2_stream_window_most_bytes", "http2_connection_window_bytes"]
    values: dict[str, float] = {name: 1_100 + number for number, name in enumerate(numbers)}
    values |= {name: 0.5 + number for number, name in enumerate(rates)}
    seconds = {name: 10 + number for number, name in enumerate(times)}
    values |= {name: 100_000 + number for number, name in enumerate(windows)}
    values |= {"early_responses": 999}
    generation = built(
        site,
        capabilities,
        MINIMAL_LISTENER
        + site.identity
        + MINIMAL_REST
        + limits(values | {name: f"{value}s" for name, value in seconds.items()}),
    )
    found = _leaves(dataclasses.asdict(generation.limits)) | _leaves(
        dataclasses.asdict(generation.upstreams[0].responses)
    )
    assert {*values.values(), *seconds.values()} <= found


def rate_of(generation: Generation) -> RequestRate | None:
    """That of its only route."""
    route = generation.routes.match(b"chat.test", b"/")
    assert route is not None
    return route.payload.rate


@pytest.mark.parametrize(("per", "is_per_client"), [("client", True), ("route", False)])
def test_a_route_may_have_a_rate(
    site: Site,
    capabilities: Capabilities,
    per: str,
    is_per_client: bool,  # noqa: FBT001 - a parameter
) -> None:
    rate = f'rate = {{ requests_per_second = 0.5, burst = 7, per = "{per}" }}\n'
    generation = built(site, capabilities, MINIMAL_LISTENER + site.identity + MINIMAL_REST + rate)
    assert rate_of(generation) == RequestRate.of("chat.test/", 0.5, 7, is_per_client=is_per_client)
    plain = built(site, capabilities, MINIMAL_LISTENER + site.identity + MINIMAL_REST)
    assert rate_of(plain) is None


def _leaves(value: object) -> set[object]:
    if isinstance(value, dict):
        return set().union(*(_leaves(part) for part in value.values())) if value else set()
    return {value}


def routed(generation: Generation, path: bytes) -> RouteTarget:
    route = generation.routes.match(b"chat.test", path)
    assert route is not None
    return route.payload


def test_routes_of_one_path_are_told_apart_by_their_conditions(site: Site, capabilities: Capabilities) -> None:
    routes = """
[[route]]
host = "chat.test"
path = "/x"
upstream = "chat"
[[route]]
host = "chat.test"
path = "/x"
methods = ["GET"]
headers = { X-Version = "2" }
query = { v = "*" }
upstream = "chat"
[[route]]
host = "chat.test"
path = "/y"
upstream = "chat"
"""
    generation = built(site, capabilities, site.minimal + routes)
    place = routed(generation, b"/x")
    assert place.alternatives is not None
    fields = [(b"x-version", b"2")]
    found = [place.alternatives.match(method, fields, b"v=1") for method in (b"GET", b"HEAD", b"POST")]
    special = "chat.test/x GET x-version=2 ?v=*"
    assert [one and one.label for one in found] == [special, special, "chat.test/x"]
    assert routed(generation, b"/y").alternatives is None


def test_one_route_with_conditions_takes_nothing_else(site: Site, capabilities: Capabilities) -> None:
    text = site.minimal + 'query = { v = "1" }\n'
    place = routed(built(site, capabilities, text), b"/")
    assert place.alternatives is not None
    assert place.alternatives.match(b"GET", [], b"") is None


@pytest.mark.parametrize(
    ("line", "admitted"),
    [("", [True, True]), ('allow = ["10.0.0.0/8"]', [True, False]), ('deny = ["10.0.0.0/8"]', [False, True])],
)
def test_networks_of_a_route_are_built(site: Site, capabilities: Capabilities, line: str, admitted: list[bool]) -> None:
    access = routed(built(site, capabilities, site.minimal + line + "\n"), b"/").access
    assert [access is None or access.admits(one) for one in (b"10.0.0.1", b"192.0.2.1")] == admitted
    assert (access is None) == (not line)
