"""TLS behind the handshake: records that carry nothing, new keys, and records that have no place there.

The standard library sends none of them, so they are made by hand (see `client.Records`).
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.client import Client, End, Records, logging_context
from tests.hostile.scene import SMUGGLED, Scene, cases, request
from tests.proxy.tls.hellos import Hello, handshake, record, server_name

NAMED = Hello().with_extensions(server_name(b"chat.test"))


@contextlib.contextmanager
def crafted(scene: Scene, tmp_path: Path) -> Iterator[tuple[Client, Records]]:
    """A connection whose records are made by hand."""
    address = scene.proxy.listeners["public"]
    key_log = tmp_path / "keys"
    with Client(address, "chat.test", logging_context(address.trusted, key_log)) as client:
        yield client, Records.of_client(client, key_log)


def test_records_made_by_hand_are_understood(scene: Scene, tmp_path: Path) -> None:
    with crafted(scene, tmp_path) as (client, by_hand):
        client.send_raw(by_hand.record(request("GET", "/1"), padding=300))
        assert client.read_response().body == b"/1"
    scene.settle()


@pytest.mark.parametrize("together", [True, False], ids=["in_one_segment", "one_by_one"])
@pytest.mark.parametrize("wanted", [1, 0], ids=["update_requested", "not_requested"])
def test_some_key_updates_are_taken(scene: Scene, tmp_path: Path, together: bool, wanted: int) -> None:  # noqa: FBT001
    with crafted(scene, tmp_path) as (client, by_hand):
        wire = [by_hand.key_update(wanted) for _ in range(32)]
        client.send_raw(*([b"".join(wire)] if together else wire))
        head = request("GET", "/1")
        half = by_hand.record(head[:10])
        between = by_hand.key_update(0)
        client.send_raw(half + between + by_hand.record(head[10:]))
        assert client.read_response().body == b"/1"
    scene.settle()


@pytest.mark.parametrize("together", [True, False], ids=["in_one_segment", "one_by_one"])
def test_a_flood_of_key_updates_ends_the_connection(scene: Scene, tmp_path: Path, together: bool) -> None:  # noqa: FBT001
    with crafted(scene, tmp_path) as (client, by_hand):
        wire = [by_hand.key_update() for _ in range(64)]
        client.send_raw(*([b"".join(wire)] if together else wire), by_hand.record(SMUGGLED))
        assert client.read_to_end() == b""
    scene.settle()
    assert scene.begun == []


@pytest.mark.parametrize("wanted", [1, 0], ids=["update_requested", "not_requested"])
def test_a_flood_of_key_updates_is_cheap(scene: Scene, tmp_path: Path, wanted: int) -> None:
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    with crafted(scene, tmp_path) as (client, by_hand):
        client.send_raw(b"".join(by_hand.key_update(wanted) for _ in range(20_000)))
        assert client.read_to_end() == b""
    after = scene.proxy.usage()
    assert after.cpu_seconds - before.cpu_seconds < 0.3
    assert after.peak_bytes - before.peak_bytes < 1_000_000
    scene.settle()


def test_a_flood_of_key_updates_between_data_ends_the_connection(scene: Scene, tmp_path: Path) -> None:
    with crafted(scene, tmp_path) as (client, by_hand):
        client.send_raw(by_hand.record(request("POST", "/1", "Content-Length: 1000")))
        client.send_raw(b"".join(by_hand.key_update() + by_hand.record(b"x") for _ in range(1_000)))
        client.read_to_end()
        assert client.end is not End.CLEAN
    scene.settle()
    assert scene.targets == []


EMPTY = {"empty": (b"", 23, 0), "empty_with_padding": (b"", 23, 1_000)}


@cases(EMPTY)
def test_some_empty_records_are_taken(scene: Scene, tmp_path: Path, case: tuple[bytes, int, int]) -> None:
    with crafted(scene, tmp_path) as (client, by_hand):
        client.send_raw(b"".join(by_hand.record(*case) for _ in range(20)) + by_hand.record(request("GET", "/1")))
        assert client.read_response().body == b"/1"
    scene.settle()


def test_a_flood_of_key_updates_that_ask_for_nothing_ends_the_connection_whatever_is_between(
    scene: Scene, tmp_path: Path
) -> None:
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    with crafted(scene, tmp_path) as (client, by_hand):
        client.send_raw(by_hand.record(request("POST", "/1", "Content-Length: 100000")))
        client.send_raw(b"".join(by_hand.key_update(0) + by_hand.record(b"x" * 20) for _ in range(5_000)))
        client.read_to_end()
        assert client.end is End.ALERT
    assert scene.proxy.usage().cpu_seconds - before.cpu_seconds < 0.3
    scene.settle()
    assert scene.targets == []


@cases(EMPTY)
def test_a_flood_of_empty_records_ends_the_connection(
    scene: Scene, tmp_path: Path, case: tuple[bytes, int, int]
) -> None:
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    with crafted(scene, tmp_path) as (client, by_hand):
        client.send_raw(b"".join(by_hand.record(*case) for _ in range(5_000)))
        assert client.read_to_end() == b""
    after = scene.proxy.usage()
    assert after.cpu_seconds - before.cpu_seconds < 0.3
    assert after.peak_bytes - before.peak_bytes < 1_000_000
    scene.settle()


@pytest.mark.parametrize("padding", [480, 4_000, 16_300])
def test_padding_is_never_held_against_a_client(scene: Scene, tmp_path: Path, padding: int) -> None:
    """RFC 8446 section 5.4: requests, and a body that comes in small pieces."""
    with crafted(scene, tmp_path) as (client, by_hand):
        for number in range(100):
            client.send_raw(by_hand.record(request("GET", f"/{number}"), padding=padding))
            assert client.read_response().status == 200
        client.send_raw(by_hand.record(request("POST", "/body", "Content-Length: 300"), padding=padding))
        for _ in range(300):
            client.send_raw(by_hand.record(b".", padding=padding))
        assert client.read_response().status == 200
    scene.settle()


def test_a_thousand_records_of_one_byte_in_a_segment_are_one_request(scene: Scene, tmp_path: Path) -> None:
    before = scene.proxy.usage()
    raw = request("GET", "/" + "x" * 7_000)
    with crafted(scene, tmp_path) as (client, by_hand):
        client.send_raw(b"".join(by_hand.record(raw[i : i + 1], padding=3) for i in range(len(raw))))
        assert client.read_response().status == 200
    assert scene.proxy.usage().cpu_seconds - before.cpu_seconds < 0.5
    scene.settle()


def wrecked(sealed: bytes, at: int) -> bytes:
    """A record with one bit changed."""
    return sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]


INTRUDERS: dict[str, Callable[[Records], bytes]] = {
    "bad_mac": lambda by_hand: wrecked(by_hand.record(request()), -1),
    "bad_text": lambda by_hand: wrecked(by_hand.record(request()), 8),
    "bad_header": lambda by_hand: wrecked(by_hand.record(request()), 4),
    "too_long": lambda _: b"\x17\x03\x03\x41\x01" + bytes(16_641),
    "much_too_long": lambda _: b"\x17\x03\x03\xff\xff" + bytes(65_535),
    "without_mac": lambda _: b"\x17\x03\x03\x00\x10" + bytes(16),
    "in_the_clear": lambda _: record(request(), content_type=23),
    "hello_in_the_clear": lambda _: record(NAMED.message),
    "change_cipher_spec_in_the_clear": lambda _: record(b"\1", content_type=20, version=0x0303),
    "close_in_the_clear": lambda _: record(b"\1\0", content_type=21),
    "http_in_the_clear": lambda _: SMUGGLED,
    "hello": lambda by_hand: by_hand.record(NAMED.message, content_type=22),
    "finished": lambda by_hand: by_hand.record(handshake(20, bytes(48)), content_type=22),
    "ticket": lambda by_hand: by_hand.record(handshake(4, bytes(40)), content_type=22),
    "certificate": lambda by_hand: by_hand.record(handshake(11, bytes(4)), content_type=22),
    "hello_request": lambda by_hand: by_hand.record(handshake(0, b""), content_type=22),
    "unknown_message": lambda by_hand: by_hand.record(handshake(99, b"x"), content_type=22),
    "key_update_2": lambda by_hand: by_hand.record(handshake(24, b"\2"), content_type=22),
    "key_update_empty": lambda by_hand: by_hand.record(handshake(24, b""), content_type=22),
    "key_update_long": lambda by_hand: by_hand.record(handshake(24, b"\0\0"), content_type=22),
    "two_key_updates_in_a_record": lambda by_hand: by_hand.record(handshake(24, b"\0") * 2, content_type=22),
    "empty_handshake": lambda by_hand: by_hand.record(b"", content_type=22),
    "half_a_message": lambda by_hand: by_hand.record(b"\x18\0\0", content_type=22) + by_hand.record(request()),
    "unknown_content": lambda by_hand: by_hand.record(b"x", content_type=99),
    "change_cipher_spec": lambda by_hand: by_hand.record(b"\1", content_type=20),
    "only_padding": lambda by_hand: by_hand.record(b"", content_type=0, padding=50),
    "alert_too_short": lambda by_hand: by_hand.record(b"\2", content_type=21),
    "fatal_alert": lambda by_hand: by_hand.record(b"\2\x28", content_type=21),
    "unknown_alert": lambda by_hand: by_hand.record(b"\2\xff", content_type=21),
}
"""Records that have no place behind a handshake."""


@cases(INTRUDERS)
def test_a_record_without_a_place_ends_the_connection(
    scene: Scene, tmp_path: Path, case: Callable[[Records], bytes]
) -> None:
    with crafted(scene, tmp_path) as (client, by_hand):
        client.send_raw(case(by_hand) + by_hand.record(SMUGGLED))
        assert client.read_to_end() == b""
        assert client.end is not End.CLEAN
    scene.settle()
    assert scene.begun == []


@cases(INTRUDERS)
def test_such_a_record_within_a_body_leaves_the_request_unfinished(
    scene: Scene, tmp_path: Path, case: Callable[[Records], bytes]
) -> None:
    with crafted(scene, tmp_path) as (client, by_hand):
        client.send_raw(by_hand.record(request("POST", "/1", "Content-Length: 10", body=b"01234")))
        client.send_raw(case(by_hand) + by_hand.record(b"56789"))
        client.read_to_end()
        assert client.end is not End.CLEAN
    scene.settle()
    assert scene.targets == []


def test_what_follows_a_close_notify_is_not_read(scene: Scene, tmp_path: Path) -> None:
    with crafted(scene, tmp_path) as (client, by_hand):
        client.send_raw(by_hand.record(b"\1\0", content_type=21) + by_hand.record(SMUGGLED))
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.begun == []


def test_a_flood_of_warnings_ends_the_connection(scene: Scene, tmp_path: Path) -> None:
    with crafted(scene, tmp_path) as (client, by_hand):
        user_canceled = b"".join(by_hand.record(b"\1\x5a", content_type=21) for _ in range(1_000))
        client.send_raw(user_canceled + by_hand.record(SMUGGLED))
        assert client.read_to_end() == b""
    scene.settle()
    assert scene.begun == []


@pytest.mark.parametrize("says_so", [True, False], ids=["close_notify", "truncated"])
@cases(
    {"length": b"Content-Length: 10\r\n\r\n01234", "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n"}
)
def test_a_request_that_ends_with_its_connection_is_not_complete(scene: Scene, case: bytes, says_so: bool) -> None:  # noqa: FBT001
    with scene.connect() as client:
        client.send(b"POST /1 HTTP/1.1\r\nHost: chat.test\r\n" + case)
        client.shut_down(says_so=says_so)
        client.read_to_end()
    scene.settle()
    assert scene.targets == []
