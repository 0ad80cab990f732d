"""Packets that cost a client little: streams, resets, connection IDs, path challenges, gaps, acknowledgements (RFC 9000 section 21).

What came is encrypted and well-formed. Each flood ends its connection, or costs no more than what is measured here.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from proxy.quic.availability import unavailable
from tests.hostile import http3_frames as h3
from tests.hostile.bystanders import bystanders
from tests.hostile.http3_client import Http3Client
from tests.hostile.quic_client import QuicClient, varint
from tests.hostile.scene import Scene, cases
from tests.waiting import until_found

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

Deed = Callable[[Http3Client], object]
_STOP_SENDING = 0x05
MEGABYTE = 1_000_000
FLOW_CONTROL_ERROR, STREAM_LIMIT_ERROR, STREAM_STATE_ERROR, FINAL_SIZE_ERROR = 3, 4, 5, 6
FRAME_ENCODING_ERROR, PROTOCOL_VIOLATION, CRYPTO_BUFFER_EXCEEDED = 7, 10, 13
CONNECTION_ID_LIMIT_ERROR = 9


def number_frame(kind: int, *values: int) -> bytes:
    """A frame that has numbers alone."""
    return b"".join(varint(one) for one in (kind, *values))


def ack(largest: int, first_range: int = 0) -> bytes:
    return number_frame(0x02, largest, 0, 0, first_range)


def reset_stream(stream: int, size: int = 0) -> bytes:
    return number_frame(0x04, stream, h3.REQUEST_CANCELLED, size)


def stop_sending(stream: int) -> bytes:
    return number_frame(0x05, stream, h3.REQUEST_CANCELLED)


def crypto(offset: int, data: bytes) -> bytes:
    return number_frame(0x06, offset, len(data)) + data


def stream_frame(stream: int, data: bytes, offset: int = 0, *, ends: bool = False) -> bytes:
    return number_frame(0x0E | ends, stream, offset, len(data)) + data


def new_connection_id(sequence: int, retire: int = 0, length: int = 8) -> bytes:
    return number_frame(0x18, sequence, retire, length) + os.urandom(length + 16)


def path_challenge() -> bytes:
    return b"\x1a" + os.urandom(8)


def frames(*made: bytes) -> Deed:
    """Send these."""
    return lambda client: client.quic.send_frames(*made)


FAULTS = {
    # section 4.1, 4.5, 4.6, 19.8
    "stream_beyond_the_limit": (frames(stream_frame(4 * 128, h3.get())), STREAM_LIMIT_ERROR),
    "stream_of_2_to_the_60": (frames(stream_frame((1 << 60) - 4, b"")), STREAM_LIMIT_ERROR),
    "one_way_stream_beyond_the_limit": (frames(stream_frame(2 + 4 * 3, b"!")), STREAM_LIMIT_ERROR),
    "stream_beyond_its_window": (frames(stream_frame(0, b"x", 1 << 24)), FLOW_CONTROL_ERROR),
    "one_way_stream_beyond_its_window": (frames(stream_frame(6, b"x", 65_536)), FLOW_CONTROL_ERROR),
    "reset_beyond_the_window": (frames(reset_stream(0, 1 << 30)), FLOW_CONTROL_ERROR),
    "size_that_changes": (
        frames(stream_frame(0, h3.get(b"/honest"), ends=True), stream_frame(0, b"d", 100)),
        FINAL_SIZE_ERROR,
    ),
    "reset_below_what_came": (frames(stream_frame(0, h3.get()[:9]), reset_stream(0, 5)), FINAL_SIZE_ERROR),
    "data_of_a_stream_of_ours": (frames(stream_frame(3, b"x")), STREAM_STATE_ERROR),
    "data_of_a_stream_that_we_would_open": (frames(stream_frame(1, b"x")), STREAM_STATE_ERROR),
    "credit_for_a_stream_that_it_writes": (frames(number_frame(0x11, 2, 5)), STREAM_STATE_ERROR),
    "stop_of_a_stream_that_it_writes": (frames(stop_sending(2)), STREAM_STATE_ERROR),
    "streams_beyond_2_to_the_60": (frames(number_frame(0x12, (1 << 60) + 1)), FRAME_ENCODING_ERROR),
    # 13.1, 21.4: optimistic acknowledgements
    "acknowledgement_of_what_was_never_sent": (frames(ack(1 << 20)), PROTOCOL_VIOLATION),
    "acknowledgement_below_zero": (frames(ack(0, 1)), FRAME_ENCODING_ERROR),
    # 7.5
    "crypto_beyond_a_gap": (frames(crypto(1 << 20, b"x")), CRYPTO_BUFFER_EXCEEDED),
    # 5.1.1, 19.15, 19.16
    "connection_ids_beyond_the_limit": (
        frames(*(new_connection_id(one) for one in range(1, 64))),
        CONNECTION_ID_LIMIT_ERROR,
    ),
    "connection_id_that_differs": (frames(new_connection_id(1), new_connection_id(1)), PROTOCOL_VIOLATION),
    "connection_id_that_retires_itself": (frames(new_connection_id(1, retire=2)), FRAME_ENCODING_ERROR),
    "connection_id_without_length": (frames(new_connection_id(1, length=0)), FRAME_ENCODING_ERROR),
    "connection_id_of_21_octets": (frames(new_connection_id(1, length=21)), FRAME_ENCODING_ERROR),
    "retired_that_was_never_made": (frames(number_frame(0x19, 99)), PROTOCOL_VIOLATION),
    # 19.1, 19.7, 19.20, 12.4
    "new_token_of_a_client": (frames(b"\x07\x03abc"), PROTOCOL_VIOLATION),
    "handshake_done_of_a_client": (frames(b"\x1e"), PROTOCOL_VIOLATION),
    "unknown_frame": (frames(b"\x40\xff"), FRAME_ENCODING_ERROR),
    "frame_that_is_cut": (frames(b"\x06\x00\x40\xff"), FRAME_ENCODING_ERROR),
    "datagram": (frames(b"\x31\x01x"), PROTOCOL_VIOLATION),
}
"""Each ends its connection with a code of QUIC."""

REASONS = {
    FLOW_CONTROL_ERROR: "flow_control",
    STREAM_LIMIT_ERROR: "stream_limit",
    CONNECTION_ID_LIMIT_ERROR: "connection_id_flood",
    CRYPTO_BUFFER_EXCEEDED: "crypto_flood",
}
"""And has the reason of its code in the log and in the counters. A broken rule of another kind is a `protocol_error`."""


def test_a_fault_ends_its_connection_with_its_code_and_no_other(scene: Scene) -> None:
    before, lines = scene.failures(), len(cuts(scene))
    with scene.connect_http3() as other:
        other.open()
        for name, (deed, code) in FAULTS.items():
            with scene.connect_http3() as client:
                client.open()
                deed(client)
                assert (name, client.quic.end(), client.quic.is_application_error) == (name, code, False)
            assert other.ask(h3.get(b"/honest")).status == 200
    expected = Counter(f"http3_{REASONS.get(code, 'protocol_error')}" for _, code in FAULTS.values())
    expected["http3_optimistic_ack"] += 1
    expected["http3_protocol_error"] -= 1
    assert scene.failures() - before == expected
    assert until_found(lambda: len(cuts(scene)) - lines == len(FAULTS))
    scene.settle()
    assert set(scene.targets) == {"/honest"}


def test_gaps_in_the_first_messages_end_a_handshake(scene: Scene) -> None:
    """Each gap takes more memory than the frame has bytes, and nobody has shown an address yet."""
    with scene.connect_http3() as other, QuicClient(scene.proxy.listeners["three"]) as client:
        other.open()
        client.connect(("127.0.0.1", scene.proxy.listeners["three"].port), time.monotonic())
        for start in range(0, 1_000, 100):
            pieces = b"".join(crypto(2 * (start + one) + 5, b"x") for one in range(100))
            client.send_datagram(client.initial_packet(crypto(0, b"\1\0\x3f\0") + pieces))
        assert client.end() == CRYPTO_BUFFER_EXCEEDED
        assert other.ask(h3.get(b"/honest")).status == 200
    (line,) = until_found(lambda: [json.loads(one) for one in scene.proxy.output if '"quic_error"' in one])
    assert (line["event"], line["reason"], line["detail"]) == (
        "handshake_failed",
        "quic_error",
        "too many CRYPTO frames",
    )


def cuts(scene: Scene) -> list[dict[str, str]]:
    """What the log says of the connections that were ended."""
    return [json.loads(line) for line in scene.proxy.output if '"reason":"http3_' in line]


def each(number: int, frame: Callable[[int], bytes]) -> Deed:
    """Frames made from 0, 1, 2 and so on."""
    return lambda client: client.quic.send_frames(*(frame(one) for one in range(number)))


def requests_of(data: bytes, then: Callable[[int], bytes] | None = None, number: int = 600) -> Deed:
    """Requests as fast as the proxy lets the client open streams: whole ones, or with a frame behind each."""

    def flood(client: Http3Client) -> None:
        for one in range(number):
            client.quic.know_stream(4 * one)
            client.read_until(partial(client.quic.may_open, 4 * one))
            if client.quic.closed:
                return
            more = b"" if then is None else then(4 * one)
            client.quic.send_frames(stream_frame(4 * one, data, ends=not more or more[0] == _STOP_SENDING) + more)

    return flood


def packets(number: int, payload: bytes) -> Deed:
    """The same in as many packets."""

    def flood(client: Http3Client) -> None:
        for one in range(number):
            if client.quic.closed is None:
                client.quic.send_datagram(client.quic.packet(payload))
            if one % 32 == 0:
                client.quic.sync(is_end_fine=True)

    return flood


def copies_of_a_packet(client: Http3Client) -> None:
    packet = client.quic.packet(b"\x01" * 800)
    for _ in range(25):
        client.quic.send_datagram(packet)


def data_of_a_stream_that_is_over(client: Http3Client) -> None:
    stream = client.begin(h3.get(b"/fixed"), ends=True)
    assert client.answer(stream).status == 200
    client.quic.acknowledge()  # now the stream is over for the proxy too
    client.quic.send_frames(*[stream_frame(stream, b"x")] * 3_000)


def the_same_id_again(client: Http3Client) -> None:
    """One that it has given, as if the frame got lost."""
    given = client.quic._host_cids[1]
    head = number_frame(0x18, given.sequence_number, 0, len(given.cid))
    client.quic.send_frames(*[head + given.cid + given.stateless_reset_token] * 2_000)


def unknown_streams(client: Http3Client) -> None:
    """As fast as the proxy lets the client open them, a whole one each time."""
    for one in range(1, 1_500):
        number = 4 * one + 2  # behind the control stream
        client.read_until(lambda: client.quic.closed or number < 4 * client.quic._remote_max_streams_uni)  # noqa: B023
        if client.quic.closed:
            return
        client.quic.send_frames(stream_frame(number, b"\x21x", ends=True))


def used_up_ids(client: Http3Client) -> None:
    """Each packet to another ID, for each of which the proxy makes a new one."""
    for _ in range(500):
        client.quic.change_connection_id()
        client.quic.sync()


FLOODS: dict[str, tuple[Deed, str | None]] = {
    # CVE-2023-44487
    "rapid_reset": (requests_of(h3.get(), lambda one: reset_stream(one, len(h3.get()))), "rapid_reset"),
    "rapid_stop": (requests_of(h3.get(), stop_sending), "rapid_reset"),
    "malformed_requests": (requests_of(h3.get(b"/", (b"Upper", b"x"))), "provoked_resets"),
    "bodies_beyond_their_length": (
        requests_of(h3.post(b"/", (b"content-length", b"1")) + h3.data(b"xy")),
        "provoked_resets",
    ),
    # section 21
    "path_challenges": (each(5_000, lambda _: path_challenge()), "path_flood"),
    "path_responses": (each(5_000, lambda _: b"\x1b" + os.urandom(8)), "path_flood"),
    "retired_ids": (each(5_000, lambda one: number_frame(0x19, one)), "protocol_error"),
    "the_same_id_retired_again": (each(5_000, lambda _: number_frame(0x19, 1)), "connection_id_flood"),
    "the_same_id_again": (the_same_id_again, "connection_id_flood"),
    "ids_that_retire_others": (each(5_000, lambda one: new_connection_id(one + 1, retire=one + 1)), "protocol_error"),
    "ids_of_ours_that_are_used_up": (used_up_ids, None),
    "streams_blocked": (each(20_000, lambda one: number_frame(0x16, one % 128)), "blocked_flood"),
    "data_blocked": (each(20_000, lambda one: number_frame(0x14, one)), "blocked_flood"),
    "max_data": (each(20_000, lambda one: number_frame(0x10, one)), "window_update_flood"),
    "max_stream_data": (each(20_000, lambda one: number_frame(0x11, 0, one)), "window_update_flood"),
    "pings": (each(20_000, lambda _: b"\x01"), "ping_flood"),
    "copies_of_a_packet": (copies_of_a_packet, None),  # by somebody else, who wants the client to be refused
    "acknowledgements": (packets(3_000, ack(0)), "idle_packet_flood"),
    "padding": (packets(3_000, bytes(8)), "idle_packet_flood"),
    "resets_of_one_stream": (
        frames(stream_frame(0, h3.get()), *[reset_stream(0, len(h3.get()))] * 3_000),
        "late_frame_flood",
    ),
    "data_of_a_stream_that_is_over": (data_of_a_stream_that_is_over, "late_frame_flood"),
    "gaps_in_crypto": (each(5_000, lambda one: crypto(2 * one + 1_000, b"x")), "crypto_flood"),
    "gaps_in_a_stream": (each(10_000, lambda one: stream_frame(0, b"x", 2 * one + 1)), "fragment_flood"),
    "octets_backwards": (each(10_000, lambda one: stream_frame(0, b"x", 20_000 - one)), "fragment_flood"),
    "the_same_again": (each(5_000, lambda _: stream_frame(0, b"x" * 500, 1_000)), "fragment_flood"),
    "empty_stream_frames": (each(10_000, lambda _: stream_frame(0, b"")), "fragment_flood"),
    "empty_data": (
        lambda client: client.send(client.begin(h3.post(b"/streamed/x")), h3.data() * 20_000),
        "empty_data_flood",
    ),
    "unknown_frames": (lambda client: client.send(client.begin(), h3.frame(h3.GREASE) * 20_000), "unknown_frame_flood"),
    "unknown_frames_on_control": (
        lambda client: client.send(client.control_stream, h3.frame(h3.GREASE) * 20_000),
        "control_frame_flood",
    ),
    "push_ids": (
        lambda client: client.send(client.control_stream, h3.frame(h3.MAX_PUSH_ID, b"\1") * 10_000),
        "control_frame_flood",
    ),
    "priority_updates": (
        lambda client: client.send(client.control_stream, h3.frame(h3.PRIORITY_UPDATE, b"\0u=1") * 10_000),
        "control_frame_flood",
    ),
    "unknown_streams": (unknown_streams, "one_way_stream_flood"),
}
"""And the reason by which its connection is ended, None if it goes on."""


@cases(FLOODS)
def test_a_flood_ends_or_costs_little_and_disturbs_nobody(scene: Scene, case: tuple[Deed, str | None]) -> None:
    flood, reason = case
    for _ in range(700):
        scene.recorder.answer_next()
    with bystanders(scene) as them, scene.connect_http3() as client:
        client.open()
        client.quic.sync()  # ngtcp2 keeps four packets that come before the handshake is over
        before, lines = scene.failures(), len(cuts(scene))
        scene.proxy.forget_peak()
        used = scene.proxy.usage()
        flood(client)
        them.go_on()
        if reason is None:
            client.quic.sync()
            client.quic.sync()
        else:
            client.quic.end()
        now = scene.proxy.usage()
        assert now.cpu_seconds - used.cpu_seconds < 0.6, "the flood is dear"
        assert now.peak_bytes - used.peak_bytes < 2 * MEGABYTE, "the flood takes memory"
        assert {name: count for name, count in (scene.failures() - before).items() if name.startswith("http3_")} == (
            {} if reason is None else {f"http3_{reason}": 1}
        )
        if reason is not None:
            assert until_found(lambda: [one for one in cuts(scene)[lines:] if one["reason"] == f"http3_{reason}"])
    scene.settle()
    assert len(scene.begun) <= 400, "the server has more work than the budget of resets allows"
