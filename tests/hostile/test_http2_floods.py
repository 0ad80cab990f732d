"""Floods over HTTP/2: what costs the proxy work and brings no request further has a budget, and then the connection ends.

Each flood is sent in one go. The kernel cuts it as it likes; the result is the same.
"""

import json

import pytest

from tests.hostile import http2_frames as h2
from tests.hostile.bystanders import bystanders
from tests.hostile.scene import Scene, cases
from tests.waiting import until_found

pytestmark = pytest.mark.paced

MEGABYTE = 1_000_000
STREAMS = range(1, 4_001, 2)
"""Two thousand of them."""


def each(*kinds: bytes) -> bytes:
    """A request on each of two thousand streams, and what follows it there; all frames have stream 1 in `kinds`."""
    return b"".join(
        kind[:5] + stream.to_bytes(4) + kind[9:] for stream in STREAMS for kind in (h2.get(1, b"/x"), *kinds)
    )


def each_with_body(*kinds: bytes) -> bytes:
    """The same with requests whose body has to come yet."""
    return b"".join(
        kind[:5] + stream.to_bytes(4) + kind[9:] for stream in STREAMS for kind in (h2.post(1, b"/x"), *kinds)
    )


OPEN = h2.post(1, b"/streamed/x")

FLOODS = {
    # CVE-2023-44487
    "rapid_reset": (each(h2.rst(1)), "rapid_reset"),
    "rapid_reset_of_uploads": (each_with_body(h2.rst(1)), "rapid_reset"),
    "rapid_reset_by_no_error": (each(h2.rst(1, h2.NO_ERROR)), "rapid_reset"),
    # CVE-2025-8671: the client breaks rules, so that it is we who reset
    "window_update_of_0": (each(h2.window_update(1, 0)), "provoked_resets"),
    "window_that_overflows": (each(h2.window_update(1, h2.LARGEST_WINDOW)), "provoked_resets"),
    "trailers_without_end": (each_with_body(h2.frame(h2.HEADERS, b"", h2.END_HEADERS, 1)), "provoked_resets"),
    "body_without_its_length": (
        b"".join(h2.post(one, b"/x", (b"content-length", b"1")) + h2.data(one, b"xy", ends=True) for one in STREAMS),
        "provoked_resets",
    ),
    "malformed_requests": (b"".join(h2.get(one, b"/", (b"Upper", b"x")) for one in STREAMS), "provoked_resets"),
    "streams_beyond_the_limit": (
        b"".join(h2.post(one, b"/streamed/x") for one in range(1, 6_001, 2)),
        "refused_streams",
    ),
    # CVE-2024-27316, CVE-2023-45288
    "continuations": (
        h2.get(1, flags=h2.END_STREAM) + h2.frame(h2.CONTINUATION, h2.literal(b"a", b"b"), 0, 1) * 5_000,
        "continuation_flood",
    ),
    "empty_continuations": (
        h2.get(1, flags=h2.END_STREAM) + h2.frame(h2.CONTINUATION, b"", 0, 1) * 20_000,
        "continuation_flood",
    ),
    "continuations_of_16_kilobytes": (
        h2.get(1, flags=h2.END_STREAM)
        + h2.frame(h2.CONTINUATION, h2.literal(b"a", bytes(16_000).replace(b"\0", b"b")), 0, 1) * 500,
        "continuation_flood",
    ),
    "headers_that_do_not_end": (
        h2.frame(h2.HEADERS, b"", 0, 1) + h2.frame(h2.CONTINUATION, b"\x00", 0, 1) * 5_000,
        "continuation_flood",
    ),
    # Netflix 2019
    "settings": (h2.settings() * 10_000, "settings_flood"),
    "settings_that_change": (
        h2.settings((h2.INITIAL_WINDOW, 0), (h2.INITIAL_WINDOW, h2.LARGEST_WINDOW), (h2.TABLE_SIZE, 0)) * 10_000,
        "settings_flood",
    ),
    "pings": (h2.ping() * 20_000, "ping_flood"),
    "ping_acknowledgements": (h2.frame(h2.PING, bytes(8), h2.ACK) * 20_000, "ping_flood"),
    "empty_data": (OPEN + h2.data(1) * 20_000, "empty_data_flood"),
    "empty_data_with_padding": (OPEN + h2.frame(h2.DATA, b"\x00", h2.PADDED, 1) * 20_000, "empty_data_flood"),
    "window_updates": (h2.window_update(0, 1) * 20_000, "window_update_flood"),
    "window_updates_of_a_stream": (OPEN + h2.window_update(1, 1) * 20_000, "window_update_flood"),
    "window_updates_of_a_closed_stream": (
        h2.get(1) + h2.rst(1) + h2.window_update(1, 1) * 20_000,
        "window_update_flood",
    ),
    "priorities": (b"".join(h2.frame(h2.PRIORITY, bytes(5), 0, one) for one in range(1, 40_001, 2)), "priority_flood"),
    "priorities_of_one_stream": (h2.frame(h2.PRIORITY, b"\0\0\0\1\0", 0, 1) * 20_000, "priority_flood"),
    "priority_updates": (
        b"".join(h2.frame(h2.PRIORITY_UPDATE, one.to_bytes(4) + b"u=1", 0, 0) for one in range(1, 40_001, 2)),
        "priority_flood",
    ),
    "unknown_frames": (h2.frame(0xFA, b"x" * 8) * 20_000, "unknown_frame_flood"),
    "unknown_frames_of_a_stream": (h2.frame(0xEF, b"", 0xFF, 1) * 20_000, "unknown_frame_flood"),
    "goaways": (OPEN + h2.go_away() * 20_000, "unknown_frame_flood"),
    "resets_of_a_closed_stream": (h2.get(1) + h2.rst(1) * 20_000, "late_frame_flood"),
}


STRICT = {
    # streams that were refused for their number have ended, and nothing may follow on them
    "data_behind_the_end": each(h2.data(1, b"x")),
    "headers_behind_the_end": each(h2.frame(h2.HEADERS, b"", h2.WHOLE, 1)),
}


@cases(STRICT)
def test_what_follows_the_end_of_refused_streams_ends_the_connection(scene: Scene, case: bytes) -> None:
    for _ in range(400):
        scene.recorder.answer_next()
    with bystanders(scene) as them, scene.connect_http2() as client:
        client.open()
        client.send(case)
        them.go_on()
        assert client.end() == h2.STREAM_CLOSED
    scene.settle()
    assert len(scene.begun) <= 128


@cases(FLOODS)
def test_a_flood_ends_its_connection_and_disturbs_nobody(scene: Scene, case: tuple[bytes, str]) -> None:
    flood, reason = case
    for _ in range(400):
        scene.recorder.answer_next()  # an answer would close streams before the flood gets to them
    with bystanders(scene) as them, scene.connect_http2() as client:
        before, lines = scene.failures(), len(cuts(scene))
        client.open()
        scene.proxy.forget_peak()
        used = scene.proxy.usage()
        client.send(flood)
        them.go_on()
        assert client.end() == h2.ENHANCE_YOUR_CALM
        now = scene.proxy.usage()
        assert now.cpu_seconds - used.cpu_seconds < 0.6, "the flood is dear"
        assert now.peak_bytes - used.peak_bytes < 2 * MEGABYTE, "the flood takes memory"
        assert {name: count for name, count in (scene.failures() - before).items() if name.startswith("http2_")} == {
            f"http2_{reason}": 1
        }
        assert until_found(lambda: [line for line in cuts(scene)[lines:] if line["reason"] == f"http2_{reason}"])
    scene.settle()
    assert len(scene.begun) <= 400, "the server has more work than the budget of resets allows"


def cuts(scene: Scene) -> list[dict[str, str]]:
    """What the log says of the connections that were ended."""
    return [json.loads(line) for line in scene.proxy.output if '"reason":"http2_' in line]
