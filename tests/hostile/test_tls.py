"""TLS: what comes instead of a handshake, in it, behind it, and what one connection leaves for the next.

A refusal is a fatal alert that reaches the peer (RFC 8446 section 6); nothing of what is refused becomes a request.
"""

import contextlib
import ssl
from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.tls.openssl import libssl
from tests.hostile.client import Address, Client, Cut, connect, trusting_context
from tests.hostile.scene import CUTS, Scene, cases, request
from tests.hostile.segments import Segments
from tests.proxy.tls.hellos import (
    MINIMAL_EXTENSIONS,
    PSK_KEY_EXCHANGE_MODES,
    Hello,
    alpn,
    extension,
    handshake,
    key_share,
    pre_shared_key,
    record,
    records,
    server_name,
    signature_algorithms,
    supported_groups,
    supported_versions,
)

NAMED = Hello().with_extensions(server_name(b"chat.test"))
HANDSHAKE_FAILURE, DECODE_ERROR, UNEXPECTED_MESSAGE, RECORD_OVERFLOW = 40, 50, 10, 22
ILLEGAL_PARAMETER, PROTOCOL_VERSION, MISSING_EXTENSION, UNRECOGNIZED_NAME, NO_PROTOCOL = 47, 70, 109, 112, 120


def answer_to(scene: Scene, *segments: bytes, listener: str = "public") -> bytes:
    """What the proxy says to these bytes, up to its end of the connection."""
    with connect(scene.proxy.listeners[listener].port) as sock:
        with Segments(sock) as reader, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            reader.send(segments)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(65_536):
                received += data
    scene.settle()
    assert scene.begun == []
    return received


def alert_in(received: bytes) -> int:
    """The description of the one fatal alert record that was received."""
    assert received[:1] == b"\x15"
    assert received[3:6] == b"\x00\x02\x02"
    assert len(received) == 7
    return received[6]


# -- no TLS

NOT_TLS = {
    "http": request(),
    "http_get_only": b"GET ",
    "http_2_preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "proxy_protocol_1": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "proxy_protocol_2": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
    "ssl_2_hello": b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(37),
    "smtp": b"EHLO chat.test\r\n",
    "zeros": bytes(100),
    "ones": b"\xff" * 100,
    "random": bytes(range(7, 250)),
    "other_major_version": record(NAMED.message, version=0x0501),
    "content_type_99": record(NAMED.message, content_type=99),
}


@CUTS
@cases(NOT_TLS)
def test_what_is_no_tls_gets_an_alert(scene: Scene, case: bytes, cut: Cut) -> None:
    segments = [case] if cut is Cut.WHOLE else [case[i : i + 1] for i in range(len(case))]
    alert_in(answer_to(scene, *segments))


# -- hellos

LONG = replace(NAMED.with_extensions(extension(0x9999, bytes(60_000))), cipher_suites=b"\x13\x01" * 5_000)
REFUSED = {
    "change_cipher_spec_first": (record(b"\x01", content_type=20), UNEXPECTED_MESSAGE),
    "application_data_first": (record(bytes(20), content_type=23), UNEXPECTED_MESSAGE),
    "heartbeat_first": (record(b"\x01\x40\x00" + bytes(16), content_type=24), UNEXPECTED_MESSAGE),
    "empty_record": (record(b""), UNEXPECTED_MESSAGE),
    "record_of_16385": (record(handshake(1, bytes(16_381))), RECORD_OVERFLOW),
    "record_of_65535": (b"\x16\x03\x01\xff\xff" + bytes(65_535), RECORD_OVERFLOW),
    "server_hello": (record(handshake(2, bytes(40))), UNEXPECTED_MESSAGE),
    "finished": (record(handshake(20, bytes(32))), UNEXPECTED_MESSAGE),
    "hello_request": (record(handshake(0, b"")), UNEXPECTED_MESSAGE),
    "message_of_16_megabytes": (record(b"\x01\xff\xff\xff" + bytes(100)), None),
    "message_of_70000": (records(LONG.message, 16_000), None),
    "cut_off_within": (record(handshake(1, NAMED.body[:30])), DECODE_ERROR),
    "bytes_behind": (record(NAMED.message + b"\0"), None),
    "second_message_behind": (record(NAMED.message + handshake(11, b"")), None),
    "duplicate_extension": (record(NAMED.with_extensions(server_name(b"chat.test")).message), ILLEGAL_PARAMETER),
    "bytes_behind_extensions": (record(handshake(1, NAMED.body + b"\0\0\1")), DECODE_ERROR),
    "session_id_of_33": (record(Hello(MINIMAL_EXTENSIONS, session_id=bytes(33)).message), DECODE_ERROR),
    "no_cipher_suites": (record(Hello(MINIMAL_EXTENSIONS, cipher_suites=b"").message), None),
    "odd_cipher_suites": (record(Hello(MINIMAL_EXTENSIONS, cipher_suites=b"\x13").message), DECODE_ERROR),
    "unknown_cipher_suites": (record(Hello(NAMED.extensions, cipher_suites=b"\x99\x99").message), HANDSHAKE_FAILURE),
    "compression": (record(Hello(NAMED.extensions, compression=b"\1\0").message), ILLEGAL_PARAMETER),
    "tls_1_2_only": (record(Hello((*MINIMAL_EXTENSIONS[1:], supported_versions([0x0303]))).message), PROTOCOL_VERSION),
    "tls_1_1_only": (record(Hello((*MINIMAL_EXTENSIONS[1:], supported_versions([0x0302]))).message), PROTOCOL_VERSION),
    "no_versions": (record(Hello(MINIMAL_EXTENSIONS[1:]).message), PROTOCOL_VERSION),
    "ssl_3": (record(Hello(MINIMAL_EXTENSIONS[1:], legacy_version=0x0300).message), PROTOCOL_VERSION),
    "no_extensions_at_all": (record(handshake(1, Hello().body)), PROTOCOL_VERSION),
    "no_groups": (
        record(Hello((supported_versions(), key_share(), signature_algorithms())).message),
        MISSING_EXTENSION,
    ),
    "no_key_share": (
        record(Hello((supported_versions(), supported_groups([29]), signature_algorithms())).message),
        MISSING_EXTENSION,
    ),
    "no_signature_algorithms": (
        record(Hello((supported_versions(), supported_groups([29]), key_share((29, bytes(32))))).message),
        MISSING_EXTENSION,
    ),
    "two_shares_of_a_group": (
        record(
            Hello((*NAMED.extensions[:2], key_share((29, bytes(32)), (29, bytes(32))), signature_algorithms())).message
        ),
        ILLEGAL_PARAMETER,
    ),
    "share_of_no_point": (
        record(
            Hello(
                (
                    supported_versions(),
                    supported_groups([23]),
                    key_share((23, b"\4" + bytes(64))),
                    *NAMED.extensions[3:],
                )
            ).message
        ),
        ILLEGAL_PARAMETER,
    ),
    "share_of_another_length": (
        record(Hello((*NAMED.extensions[:2], key_share((29, bytes(31))), *NAMED.extensions[3:])).message),
        None,
    ),
    "hybrid_share_cut": (
        record(
            Hello(
                (
                    supported_versions(),
                    supported_groups([0x11EC]),
                    key_share((0x11EC, bytes(1_215))),
                    *NAMED.extensions[3:],
                )
            ).message
        ),
        None,
    ),
    "unknown_groups": (
        record(Hello((supported_versions(), supported_groups([0x9999]), key_share(), *NAMED.extensions[3:])).message),
        HANDSHAKE_FAILURE,
    ),
    "psk_not_last": (
        record(
            Hello(
                (
                    *MINIMAL_EXTENSIONS,
                    PSK_KEY_EXCHANGE_MODES,
                    pre_shared_key([b"x" * 40], [bytes(32)]),
                    server_name(b"chat.test"),
                )
            ).message
        ),
        ILLEGAL_PARAMETER,
    ),
    "psk_without_modes": (
        record(NAMED.with_extensions(pre_shared_key([b"x" * 40], [bytes(32)])).message),
        MISSING_EXTENSION,
    ),
    "psk_with_two_binders": (
        record(
            NAMED.with_extensions(PSK_KEY_EXCHANGE_MODES, pre_shared_key([b"x" * 40], [bytes(32), bytes(32)])).message
        ),
        None,
    ),
    "no_name": (record(Hello().message), UNRECOGNIZED_NAME),
    "unknown_name": (record(Hello().with_extensions(server_name(b"evil.test")).message), UNRECOGNIZED_NAME),
    "two_labels_below_the_wildcard": (
        record(Hello().with_extensions(server_name(b"a.b.chat.test")).message),
        UNRECOGNIZED_NAME,
    ),
    "wildcard_itself": (record(Hello().with_extensions(server_name(b"*.chat.test")).message), None),
    "name_with_nul": (record(Hello().with_extensions(server_name(b"chat.test\0.evil.test")).message), None),
    "name_empty": (record(Hello().with_extensions(server_name(b"")).message), None),
    "name_with_newline": (record(Hello().with_extensions(server_name(b"chat.test\n")).message), None),
    "name_of_256": (record(Hello().with_extensions(server_name(b"a" * 256)).message), None),
    "name_list_empty": (record(Hello().with_extensions(extension(0, b"\0\0")).message), None),
    "two_names": (
        record(Hello().with_extensions(extension(0, b"\0\x18" + (b"\0\0\x09chat.test" * 2))).message),
        None,
    ),
    "h3_only": (record(NAMED.with_extensions(alpn(b"h3")).message), NO_PROTOCOL),
    "acme_only": (record(NAMED.with_extensions(alpn(b"acme-tls/1")).message), NO_PROTOCOL),
    "http_1_0_only": (record(NAMED.with_extensions(alpn(b"http/1.0")).message), NO_PROTOCOL),
    "ftp_only": (record(NAMED.with_extensions(alpn(b"ftp", b"imap", b"pop3")).message), NO_PROTOCOL),
    "protocol_with_nul": (record(NAMED.with_extensions(alpn(b"http/1.1\0")).message), NO_PROTOCOL),
    "protocol_in_capitals": (record(NAMED.with_extensions(alpn(b"HTTP/1.1")).message), NO_PROTOCOL),
    "protocol_empty": (record(NAMED.with_extensions(extension(16, b"\0\1\0")).message), DECODE_ERROR),
    "protocols_empty": (record(NAMED.with_extensions(extension(16, b"\0\0")).message), DECODE_ERROR),
    "early_data_not_empty": (record(NAMED.with_extensions(extension(42, b"x")).message), DECODE_ERROR),
}


@CUTS
@cases(REFUSED)
def test_a_hello_that_breaks_a_rule_gets_its_alert(scene: Scene, case: tuple[bytes, int | None], cut: Cut) -> None:
    hello, alert = case
    step = len(hello) if cut is Cut.WHOLE else 1 if len(hello) < 2_000 else 997
    found = alert_in(answer_to(scene, *(hello[i : i + step] for i in range(0, len(hello), step))))
    assert alert is None or found == alert


def test_an_alert_instead_of_a_hello_gets_no_answer_worth_a_word(scene: Scene) -> None:
    assert len(answer_to(scene, record(b"\2\x28", content_type=21))) in (0, 7)


def test_endless_records_of_one_byte_are_refused(scene: Scene) -> None:
    hello = records(b"\x01\x00\xff\xf0" + bytes(100_000), 1)
    before = scene.proxy.usage()
    received = answer_to(scene, hello[:200_000], hello[200_000:500_000])
    assert received == b"" or alert_in(received)
    assert scene.proxy.usage().cpu_seconds - before.cpu_seconds < 1


@pytest.mark.parametrize("fragment", [1, 2, 3, 5, 100, 1_000])
@pytest.mark.parametrize("segment", [1, 7, 100_000])
def test_a_hello_is_understood_however_it_is_cut(scene: Scene, fragment: int, segment: int) -> None:
    def cut(hello: bytes) -> list[bytes]:
        again = records(hello[5:], fragment)
        return [again[i : i + segment] for i in range(0, len(again), segment)]

    with CutHello(scene.proxy.listeners["public"], cut) as client:
        client.send(request("GET", "/1"))
        assert client.read_response().status == 200
    scene.settle()


class CutHello(Client):
    """A client whose first flight is sent as `cut` says."""

    def __init__(self, address: Address, cut: Callable[[bytes], list[bytes]]) -> None:
        self._cut = cut
        super().__init__(address)

    def _flush(self) -> None:
        hello = self._outgoing.read() if self._outgoing.pending else b""
        if hello.startswith(b"\x16"):
            self.send_raw(*self._cut(hello))
        elif hello:
            self.sock.sendall(hello)


# -- policy


def context_for(address: Address, groups: str) -> ssl.SSLContext:
    """A client that can do these groups only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(address.trusted)
    libssl.set_groups(context, groups)
    return context


@pytest.mark.parametrize("groups", ["X25519", "secp256r1", "secp384r1:X25519", "ffdhe2048", "X448"])
def test_a_client_without_a_hybrid_is_refused_where_one_is_required(scene: Scene, groups: str) -> None:
    address = scene.proxy.listeners["demanding"]
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        Client(address, "chat.test", context_for(address, groups))


def test_a_route_that_requires_a_hybrid_is_closed_to_others(scene: Scene) -> None:
    address = scene.proxy.listeners["public"]
    with Client(address, "chat.test", context_for(address, "X25519")) as client:
        client.send(request("GET", "/pq/1") + request("GET", "/2") + request("GET", "/pq") + request("GET", "/%70q"))
        assert [client.read_response().status for _ in range(4)] == [403, 200, 403, 403]
    with Client(address, "chat.test", context_for(address, "X25519MLKEM768")) as client:
        client.send(request("GET", "/pq/3"))
        assert client.read_response().status == 200
    scene.settle()
    assert scene.targets == ["/2", "/pq/3"]


# -- resumption


def resume(
    scene: Scene, first: tuple[str, str], second: tuple[str, str], groups: str = "X25519MLKEM768:X25519"
) -> bool:
    """Whether a ticket of the first (listener, server name) is taken for the second."""
    listeners = scene.proxy.listeners
    context = context_for(listeners["public"], groups)
    with Client(listeners[first[0]], first[1], context) as client:
        client.send(request("GET", "/first", host=first[1]))
        assert client.read_response().status == 200  # the tickets come before it
        session = client.tls.session
    assert session is not None
    assert session.has_ticket
    with Client(listeners[second[0]], second[1], context, session=session) as client:
        client.send(request("GET", "/second", host=second[1]))
        assert client.read_response().status == 200
        certificate = client.tls.getpeercert()
        assert certificate is not None
        return bool(client.tls.session_reused)


def test_a_ticket_is_taken_where_it_was_given(scene: Scene) -> None:
    assert resume(scene, ("public", "chat.test"), ("public", "chat.test"))


@cases(
    {
        "chat_on_other": (("public", "chat.test"), ("public", "other.test")),
        "other_on_chat": (("public", "other.test"), ("public", "chat.test")),
        "wildcard_on_other": (("public", "room.chat.test"), ("public", "other.test")),
        "public_on_demanding": (("public", "chat.test"), ("demanding", "chat.test")),
        "chat_on_other_of_demanding": (("demanding", "chat.test"), ("demanding", "other.test")),
        "chat_on_other_of_another_listener": (("public", "chat.test"), ("lenient", "other.test")),
    }
)
def test_a_ticket_of_one_identity_or_policy_is_nothing_to_another(
    scene: Scene, case: tuple[tuple[str, str], tuple[str, str]]
) -> None:
    """CVE-2025-23419. The handshake is made in full: it ends with the certificate of the name that was asked for."""
    assert not resume(scene, *case)


def test_a_resumed_handshake_obeys_the_policy_too(scene: Scene) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        resume(scene, ("public", "chat.test"), ("demanding", "chat.test"), "X25519")


def test_a_forged_ticket_is_nothing(scene: Scene) -> None:
    hello = NAMED.with_extensions(PSK_KEY_EXCHANGE_MODES, pre_shared_key([bytes(200)], [bytes(32)]))
    with connect(scene.proxy.listeners["public"].port) as sock:
        sock.sendall(record(hello.message))
        assert sock.recv(1) == b"\x16"  # a ServerHello of a full handshake
    scene.settle()


def test_a_thousand_handshakes_leave_nothing_behind(scene: Scene) -> None:
    """CVE-2024-2511: sessions of TLS 1.3 that pile up in a cache."""
    address = scene.proxy.listeners["public"]
    context = context_for(address, "X25519")
    for _ in range(200):
        Client(address, "chat.test", context).sock.close()
    scene.settle()
    scene.proxy.forget_peak()
    before = scene.proxy.usage()
    for _ in range(1_000):
        Client(address, "chat.test", context).sock.close()
    scene.settle()
    assert scene.proxy.usage().peak_bytes - before.peak_bytes < 1_000_000


def test_the_clients_of_these_tests_verify(scene: Scene) -> None:
    address = scene.proxy.listeners["lenient"]
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(address, "unknown.test", trusting_context(address.trusted))
