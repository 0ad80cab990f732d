"""The limits of a configuration at their places."""

import dataclasses

from proxy.tls.openssl.capabilities import Capabilities
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
    windows = [
        "http2_stream_window_bytes",
        "http2_stream_window_most_bytes",
        "http2_connection_window_bytes",
        "http3_unacked_bytes",
    ]
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


def _leaves(value: object) -> set[object]:
    if isinstance(value, dict):
        return set().union(*(_leaves(part) for part in value.values())) if value else set()
    return {value}
