"""Few octets that become many: compressed fields, crumbs of cookies, a table that grows and shrinks (RFC 7541 section 7).

What one client makes the proxy hold is bounded by what it sends (CVE-2016-6581, CVE-2026-49975, CVE-2026-47774): requests of four
connections are held by a server that does not answer, and the memory that they take is measured.
"""

from contextlib import ExitStack

import pytest

from tests.hostile import http2_frames as h2
from tests.hostile.bystanders import bystanders
from tests.hostile.scene import Scene, cases

pytestmark = pytest.mark.paced

MEGABYTE = 1_000_000
CONNECTIONS, STREAMS = 4, 128
_BASE = h2.block(h2.fields(b"/x"))
_ALLOWANCE = 65_536 + STREAMS * 20_000
"""For a connection, and for a hundred fields of each request: what they may cost beside their octets."""


def bomb(entry: bytes, rest: bytes, streams: int = STREAMS) -> bytes:
    """A field that goes into the table, and requests that name it."""
    first = h2.frame(h2.HEADERS, _BASE + entry, h2.WHOLE, 1)
    others = (h2.frame(h2.HEADERS, _BASE + rest, h2.WHOLE, stream) for stream in range(3, 2 * streams, 2))
    return first + b"".join(others)


def large(name: bytes) -> bytes:
    """The largest field of a table of 4,096 octets."""
    return h2.literal(name, b"v" * (4_096 - 32 - len(name)), indexed=True)


NEWEST = h2.index(62)
BOMBS = {
    "large_field_once": bomb(large(b"a"), NEWEST),
    "large_field_seven_times": bomb(large(b"a"), NEWEST * 7),
    "large_field_a_thousand_times": bomb(large(b"a"), NEWEST * 1_000),
    "large_name_seven_times": bomb(h2.literal(b"a" * 4_000, b"", indexed=True), b"\x0f\x2f\x00" * 7),
    "empty_field_12000_times": bomb(h2.literal(b"a", b"", indexed=True), NEWEST * 12_000, 32),
    "large_crumbs": bomb(large(b"cookie"), NEWEST * 4),
    "crumbs_700": bomb(h2.literal(b"cookie", b"a=b", indexed=True), NEWEST * 700),
    "empty_crumbs_12000": bomb(h2.literal(b"cookie", b"", indexed=True), NEWEST * 12_000, 32),
    "crumbs_of_one_octet": bomb(b"", b"\x0f\x11\x01a" * 800),
    "zero_length_names": bomb(b"", b"\x00\x00\x00" * 5_000, 32),
    "fields_100": bomb(b"", b"\x00\x01a\x01b" * 96),
    "table_that_jumps": bomb(large(b"a"), b"")
    + b"".join(
        h2.frame(h2.HEADERS, h2.table_size(0) + h2.table_size(4_096) + _BASE + large(b"a"), h2.WHOLE, stream)
        for stream in range(2 * STREAMS + 1, 4 * STREAMS, 2)
    ),
    "huffman": bomb(b"", b"\x00\x01a" + h2.number(5_000, 7, 0x80) + b"\x00\x00\x00\x00\x00" * 1_000, 32),
}


@cases(BOMBS)
def test_fields_take_no_more_memory_than_their_octets_pay_for(terse: Scene, case: bytes) -> None:
    scene = terse
    for _ in range(CONNECTIONS * STREAMS * 2):
        scene.recorder.answer_next()
    with bystanders(scene) as them, ExitStack() as stack:
        scene.proxy.forget_peak()
        used = scene.proxy.usage()
        clients = [stack.enter_context(scene.connect_http2()).open((h2.INITIAL_WINDOW, 0)) for _ in range(CONNECTIONS)]
        for client in clients:
            client.send(case)
            client.sync()
        them.go_on()
        now = scene.proxy.usage()
        assert now.peak_bytes - used.peak_bytes < CONNECTIONS * (_ALLOWANCE + 10 * len(case))
        assert now.cpu_seconds - used.cpu_seconds < 0.5 + CONNECTIONS * len(case) * 1e-6
        for client in clients:
            client.client.reset()
    scene.settle()


def test_a_table_that_the_client_changes_in_every_request_serves_it(scene: Scene) -> None:
    """Lawful, if odd: what it costs is bounded, and requests stay what they are."""
    with scene.connect_http2() as client:
        client.open()
        for number in range(100):
            fields = h2.table_size(0) + h2.table_size(4_096) + h2.block(h2.fields(b"/%d" % number)) + large(b"a")
            client.send(h2.frame(h2.HEADERS, fields, h2.WHOLE, 2 * number + 1))
            assert client.answer(2 * number + 1).body == b"/%d" % number


def test_a_table_of_ours_that_the_client_changes_keeps_answers_readable(scene: Scene) -> None:
    """The client's decoder is another's: it would see a table that is out of step."""
    with scene.connect_http2() as client:
        client.open()
        for number, size in enumerate([0, 4_096, 1, 100_000, 64, 2**32 - 1, 0, 33, 4_095] * 10):
            client.send(h2.settings((h2.TABLE_SIZE, size)) + h2.get(2 * number + 1, b"/%d" % number))
            client.decoder.max_allowed_table_size = min(size, 65_536)
            assert client.answer(2 * number + 1).body == b"/%d" % number
