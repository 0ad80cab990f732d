"""What requests are held to."""

import dataclasses

import pytest

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
        "keep_alive_seconds",
        "write_idle_seconds",
        "head_seconds",
        "body_idle_seconds",
        "websocket_idle_seconds",
        "websocket_close_seconds",
        "http2_resets_per_second",
        "http2_control_frames_per_second",
        "http2_settings_seconds",
    ]
    windows = ["http2_stream_window_bytes", "http2_stream_window_most_bytes", "http2_connection_window_bytes"]
    values: dict[str, float] = {name: 1_100 + number for number, name in enumerate(numbers)}
    values |= {name: 0.5 + number for number, name in enumerate(times)}
    values |= {name: 100_000 + number for number, name in enumerate(windows)}
    values |= {"early_responses": 999}
    generation = built(site, capabilities, MINIMAL_LISTENER + site.identity + MINIMAL_REST + limits(values))
    found = _leaves(dataclasses.asdict(generation.limits)) | _leaves(
        dataclasses.asdict(generation.upstreams[0].responses)
    )
    assert set(values.values()) <= found


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
