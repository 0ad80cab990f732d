"""Invariant: a ClientHello is decoded into what was put in, or refused with a `HelloError`; there is no other error."""

import socket
import subprocess
import tracemalloc
from array import array
from contextlib import suppress
from struct import pack
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.tls.wire import client_hello
from proxy.tls.wire.alerts import AlertDescription
from proxy.tls.wire.client_hello import ClientHello, parse_client_hello
from proxy.tls.wire.records import ClientFlight, ClientHelloReader, HelloError, HelloFailure
from tests.proxy.tls.hellos import (
    MINIMAL_EXTENSIONS,
    PSK_KEY_EXCHANGE_MODES,
    Hello,
    alpn,
    chrome_hello,
    client_context,
    code_points,
    converse,
    extension,
    handshake,
    key_share,
    peer,
    pre_shared_key,
    record,
    server_context,
    server_name,
    signature_algorithms,
    supported_groups,
    supported_versions,
    vector,
)

BINDER = b"b" * 32


def hello_in(wire: bytes, flight: ClientFlight = ClientFlight.FIRST) -> ClientHello:
    """Decode what a client sent, fed whole and byte by byte."""
    whole, by_bytes = ClientHelloReader(65_536, 400_000, flight), ClientHelloReader(65_536, 400_000, flight)
    whole.receive_data(wire)
    for i in range(len(wire)):
        by_bytes.receive_data(wire[i : i + 1])
    assert whole.message is not None
    assert whole.message == by_bytes.message
    return parse_client_hello(whole.message)


def refusal(message: bytes) -> HelloError:
    """The error that a message is refused with."""
    with pytest.raises(HelloError) as caught:
        parse_client_hello(message)
    return caught.value


def replaced(position: int, new: bytes) -> Hello:
    """The minimal hello with one of its extensions replaced."""
    return Hello((*MINIMAL_EXTENSIONS[:position], new, *MINIMAL_EXTENSIONS[position + 1 :]))


class TestRealClients:
    """What clients in the field send."""

    def test_a_browser_offers_hybrid_and_hides_behind_an_outer_hello(self) -> None:
        hello = hello_in(record(chrome_hello()))
        assert hello.server_name == "chat.example.org"
        assert hello.alpn == (b"h2", b"http/1.1")
        assert hello.supported_versions == (0x8A8A, 0x0304, 0x0303)
        assert hello.supported_groups == (0x2A2A, 0x11EC, 29, 23, 24)
        assert hello.key_shares == (0x2A2A, 0x11EC, 29)
        assert hello.signature_algorithms == (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
        assert hello.cipher_suites[:4] == (0x4A4A, 0x1301, 0x1302, 0x1303)
        assert (hello.legacy_version, hello.random, hello.session_id) == (0x0303, b"r" * 32, b"s" * 32)
        assert (hello.psk_identities, hello.has_early_data) == ((), False)

    def test_openssl_accepts_the_hello_built_here(self) -> None:
        """The browser's hello above is not only what our parser believes to be one."""
        answer = peer(server_context("X25519")).answer(record(chrome_hello()))
        assert answer[5] == 2  # a ServerHello

    def test_openssl_sends_a_hybrid_and_a_classical_share(self) -> None:
        hello = hello_in(peer(client_context("*X25519MLKEM768 / *X25519")).answer(b""))
        assert hello.supported_groups == (0x11EC, 29)
        assert hello.key_shares == (0x11EC, 29)
        assert hello.server_name == "chat.example.org"
        assert hello.supported_versions == (0x0304,)
        assert 0x1302 in hello.cipher_suites
        assert 0x0905 in hello.signature_algorithms

    def test_the_hello_after_a_retry_has_the_share_that_was_asked_for(self) -> None:
        client = peer(client_context("X25519:X25519MLKEM768"))
        server = peer(server_context("X25519MLKEM768 / X25519"))
        first = client.answer(b"")
        second = client.answer(server.answer(first))
        assert hello_in(first).key_shares == (29,)
        assert hello_in(second, ClientFlight.AFTER_RETRY).key_shares == (0x11EC,)

    def test_a_resuming_client_shows_its_ticket(self) -> None:
        context = client_context("X25519")
        client = peer(context)
        converse(client, peer(server_context("X25519")))
        hello = hello_in(peer(context, client.tls.session).answer(b""))
        assert len(hello.psk_identities) == 1
        assert len(hello.psk_identities[0]) > 100
        assert not hello.has_early_data

    @pytest.mark.parametrize("groups", ["X25519MLKEM768", "X25519", "SecP384r1MLKEM1024", "MLKEM1024", "P-256"])
    def test_the_hello_of_s_client_is_decoded(self, groups: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", "-groups", groups]
            command += ["-servername", "Chat.Example.ORG", "-alpn", "http/1.1", "-tls1_3"]
            with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ):
                connection, _ = listener.accept()
                reader = ClientHelloReader(65_536, 400_000)
                with connection:
                    while reader.message is None:
                        reader.receive_data(connection.recv(4_096))
        hello = parse_client_hello(reader.message)
        assert hello.server_name == "chat.example.org"
        assert hello.alpn == (b"http/1.1",)
        assert len(hello.supported_groups) == 1
        assert hello.key_shares == hello.supported_groups


class TestFixedFields:
    """4.1.2. Client Hello."""

    def test_a_hello_of_the_mandatory_extensions_alone_is_decoded(self) -> None:
        assert parse_client_hello(Hello().message) == ClientHello(
            legacy_version=0x0303,
            random=b"r" * 32,
            session_id=b"s" * 32,
            cipher_suites=(0x1302, 0x1303, 0x1301),
            supported_versions=(0x0304,),
            supported_groups=(29,),
            key_shares=(29,),
            signature_algorithms=(0x0403, 0x0804),
            server_name=None,
            alpn=(),
            psk_identities=(),
            has_early_data=False,
        )

    def test_the_session_id_may_be_empty(self) -> None:
        assert parse_client_hello(Hello(session_id=b"").message).session_id == b""

    @pytest.mark.parametrize(
        ("message", "where"),
        [
            (Hello(session_id=b"s" * 33).message, "session_id"),
            (Hello(cipher_suites=b"").message, "cipher_suites"),
            (Hello(cipher_suites=b"\x13\1\x13").message, "cipher_suites"),
            (Hello(compression=b"").message, "compression_methods"),
            (
                handshake(1, Hello().body + vector(b"".join(MINIMAL_EXTENSIONS), 2) + b"\0"),
                "bytes after the extensions",
            ),
            (handshake(1, Hello().body + b"\0"), "extensions"),
            (handshake(1, Hello().body + b"\0\5" + b"\0\0\0\0"), "extensions"),
            (Hello((*MINIMAL_EXTENSIONS, b"\0\x63\0")).message, "extensions"),
            (Hello((*MINIMAL_EXTENSIONS, b"\0\x63\0\1")).message, "extension 99"),
            (handshake(1, b""), "session_id"),
        ],
    )
    def test_what_cannot_be_decoded_is_a_decode_error(self, message: bytes, where: str) -> None:
        error = refusal(message)
        assert (error.alert, error.where) == (AlertDescription.DECODE_ERROR, where)

    def test_every_truncation_is_a_decode_error(self) -> None:
        message = chrome_hello()
        for length in range(4, len(message)):
            # Cut exactly behind the compression methods it is a whole hello of TLS 1.2, without extensions.
            alert = refusal(message[:length]).alert
            assert alert is AlertDescription.DECODE_ERROR or (alert, message[length - 2 : length]) == (
                AlertDescription.PROTOCOL_VERSION,
                b"\1\0",
            )

    @pytest.mark.parametrize("compression", [b"\1", b"\1\0", b"\0\1", b"\0\0"])
    def test_compression_is_an_illegal_parameter(self, compression: bytes) -> None:
        error = refusal(Hello(compression=compression).message)
        assert (error.alert, error.reason) == (AlertDescription.ILLEGAL_PARAMETER, HelloFailure.COMPRESSION)


class TestVersions:
    """4.2.1. Supported Versions: the extension alone decides."""

    @pytest.mark.parametrize("legacy_version", [0x0301, 0x0302, 0x0303, 0x0304, 0x7F7F])
    def test_the_legacy_version_means_nothing(self, legacy_version: int) -> None:
        hello = parse_client_hello(Hello(legacy_version=legacy_version).message)
        assert hello.legacy_version == legacy_version

    @pytest.mark.parametrize(
        "message",
        [
            handshake(1, Hello().body),
            handshake(1, Hello(compression=b"\1\0").body),
            Hello(()).message,
            Hello(MINIMAL_EXTENSIONS[1:]).message,
            replaced(0, supported_versions([0x0303, 0x0302])).message,
            replaced(0, supported_versions([0x7F1C])).message,
            Hello(legacy_version=0x0300).message,
            Hello(legacy_version=0x0200).message,
        ],
    )
    def test_a_hello_without_tls_1_3_gets_protocol_version(self, message: bytes) -> None:
        assert refusal(message).alert is AlertDescription.PROTOCOL_VERSION

    @pytest.mark.parametrize("content", [b"", b"\0", b"\1\3", b"\3\3\4\3", b"\2\3\4\0", b"\4\3\4"])
    def test_a_list_that_cannot_be_decoded_is_a_decode_error(self, content: bytes) -> None:
        error = refusal(replaced(0, extension(43, content)).message)
        assert (error.alert, error.where) == (AlertDescription.DECODE_ERROR, "supported_versions")


class TestExtensions:
    """4.2. Extensions, and 9.2. Mandatory-to-Implement Extensions."""

    @pytest.mark.parametrize("extension_type", [2, 99, 0x0A0A, 0xFAFA, 0xFE0D, 0xFFFF])
    def test_unknown_extensions_are_skipped_unseen(self, extension_type: int) -> None:
        message = Hello().with_extensions(extension(extension_type, b"\xff" * 9)).message
        assert parse_client_hello(message) == parse_client_hello(Hello().message)

    @pytest.mark.parametrize("repeated", [extension(99), extension(0x6A6A), *MINIMAL_EXTENSIONS])
    def test_an_extension_that_occurs_twice_is_an_illegal_parameter(self, repeated: bytes) -> None:
        error = refusal(Hello().with_extensions(repeated, repeated).message)
        assert (error.alert, error.reason) == (AlertDescription.ILLEGAL_PARAMETER, HelloFailure.DUPLICATE_EXTENSION)

    @pytest.mark.parametrize(
        ("extensions", "missing"),
        [
            (MINIMAL_EXTENSIONS[:3], "signature_algorithms"),
            ((MINIMAL_EXTENSIONS[0], MINIMAL_EXTENSIONS[3]), "supported_groups"),
            ((MINIMAL_EXTENSIONS[0], *MINIMAL_EXTENSIONS[2:]), "supported_groups"),
            ((*MINIMAL_EXTENSIONS[:2], MINIMAL_EXTENSIONS[3]), "key_share"),
            ((*MINIMAL_EXTENSIONS, pre_shared_key([b"t"], [BINDER])), "psk_key_exchange_modes"),
            (
                (
                    MINIMAL_EXTENSIONS[0],
                    MINIMAL_EXTENSIONS[2],
                    PSK_KEY_EXCHANGE_MODES,
                    pre_shared_key([b"t"], [BINDER]),
                ),
                "supported_groups",
            ),
        ],
    )
    def test_a_mandatory_extension_is_missed(self, extensions: tuple[bytes, ...], missing: str) -> None:
        error = refusal(Hello(extensions).message)
        assert (error.alert, error.where) == (AlertDescription.MISSING_EXTENSION, missing)

    def test_a_pre_shared_key_alone_needs_neither_groups_nor_signatures(self) -> None:
        hello = parse_client_hello(
            Hello((supported_versions(), PSK_KEY_EXCHANGE_MODES, pre_shared_key([b"ticket"], [BINDER]))).message
        )
        assert (hello.supported_groups, hello.key_shares, hello.signature_algorithms) == ((), (), ())
        assert hello.psk_identities == (b"ticket",)

    @pytest.mark.parametrize("content", [b"", b"\0", b"\0\0", b"\0\1\0", b"\0\3\0\1\0", b"\0\2\0\1\0", b"\0\4\0\1"])
    @pytest.mark.parametrize(
        ("position", "extension_type", "where"), [(1, 10, "supported_groups"), (3, 13, "signature_algorithms")]
    )
    def test_a_list_that_cannot_be_decoded_is_a_decode_error(
        self, content: bytes, position: int, extension_type: int, where: str
    ) -> None:
        error = refusal(replaced(position, extension(extension_type, content)).message)
        assert (error.alert, error.where) == (AlertDescription.DECODE_ERROR, where)

    def test_early_data_is_noticed(self) -> None:
        assert parse_client_hello(Hello().with_extensions(extension(42)).message).has_early_data

    def test_early_data_with_a_content_is_a_decode_error(self) -> None:
        assert refusal(Hello().with_extensions(extension(42, b"\0")).message).alert is AlertDescription.DECODE_ERROR


_MANY_SHARES = tuple((group, b"k") for group in (29, 0x1A1A, 0x2A2A, 0x3A3A, 0x4A4A))


class TestKeyShares:
    """4.2.8. Key Share."""

    def test_an_empty_list_asks_for_a_retry(self) -> None:
        assert parse_client_hello(replaced(2, key_share()).message).key_shares == ()

    @pytest.mark.parametrize(
        "shares",
        [((29, b"k"), (29, b"k")), ((23, b"k"),), ((29, b"k"), (0x11EC, b"k")), _MANY_SHARES],
        ids=["repeated", "not listed", "second not listed", "all not listed, of many"],
    )
    def test_a_repeated_or_unlisted_group_is_an_illegal_parameter(self, shares: tuple[tuple[int, bytes], ...]) -> None:
        error = refusal(replaced(2, key_share(*shares)).message)
        assert (error.alert, error.reason) == (AlertDescription.ILLEGAL_PARAMETER, HelloFailure.KEY_SHARE)
        assert error.where == f"group 0x{shares[1 if len(shares) > 2 else -1][0]:04x}"

    @pytest.mark.parametrize("shares", [b"\0\x1d\0\0", b"\0\x1d\0\2k", b"\0\x1d\0", b"\0", b"\0\x1d\0\1k\0"])
    def test_a_share_that_cannot_be_decoded_is_a_decode_error(self, shares: bytes) -> None:
        error = refusal(replaced(2, extension(51, vector(shares, 2))).message)
        assert (error.alert, error.where) == (AlertDescription.DECODE_ERROR, "key_share")

    def test_bytes_behind_the_list_are_a_decode_error(self) -> None:
        assert refusal(replaced(2, extension(51, b"\0\0k")).message).alert is AlertDescription.DECODE_ERROR


class TestServerName:
    """RFC 6066, 3. Server Name Indication."""

    @pytest.mark.parametrize(
        ("sent", "name"),
        [
            (b"chat.example.org", "chat.example.org"),
            (b"Chat.EXAMPLE.org", "chat.example.org"),
            (b"chat.example.org.", "chat.example.org"),
            (b"xn--bcher-kva.example", "xn--bcher-kva.example"),
            (b"localhost", "localhost"),
            (b"_chat.a-b--c.org", "_chat.a-b--c.org"),
            (b"192.0.2.1", "192.0.2.1"),
            (b"x" * 63 + b".org", "x" * 63 + ".org"),
            (b".".join([b"x" * 50] * 4) + b"." + b"y" * 49, ".".join(["x" * 50] * 4) + "." + "y" * 49),
        ],
    )
    def test_a_host_name_is_given_in_lower_case(self, sent: bytes, name: str) -> None:
        assert parse_client_hello(Hello().with_extensions(server_name(sent)).message).server_name == name

    @pytest.mark.parametrize(
        "sent",
        [
            b".",
            b"chat.example.org..",
            b".chat",
            b"a..b",
            b"*.example.org",
            b"a b",
            b"a/b",
            b"a\0b",
            b"a\n",
            b"chat.example.org:443",
            b"::1",
            b"[::1]",
            "bücher.example".encode(),
            b"x" * 64,
            b".".join([b"x" * 50] * 4) + b"." + b"y" * 50,
            b"\xff",
        ],
    )
    def test_anything_else_is_nobodys_name(self, sent: bytes) -> None:
        """`host:443` is what Go's `hey` sends; a `default` answers for it as for any unknown name."""
        name = parse_client_hello(Hello().with_extensions(server_name(sent)).message).server_name
        assert name is not None
        assert (name[0], name[-1]) == ("'", "'"), "no name and no wildcard of a configuration fits"
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= 2 + 4 * 253

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\0",
            b"\0\0",
            b"\0\3\0\0\0",  # an empty name
            b"\0\4\1\0\1a",  # another type of name
            b"\0\5\0\0\1ab",
            b"\0\4\0\0\2a",
            b"\0\3\0\0\1a",
            b"\0\x08\0\0\1a\0\0\1b",  # two names
        ],
    )
    def test_a_list_other_than_of_one_host_name_is_a_decode_error(self, content: bytes) -> None:
        error = refusal(Hello().with_extensions(extension(0, content)).message)
        assert (error.alert, error.where) == (AlertDescription.DECODE_ERROR, "server_name")


class TestAlpn:
    """RFC 7301, 3.1. The Application-Layer Protocol Negotiation Extension."""

    def test_names_are_kept_in_order(self) -> None:
        names = (b"\x0a\x0a", b"h2", b"http/1.1", b"\0", b"x" * 255)
        assert parse_client_hello(Hello().with_extensions(alpn(*names)).message).alpn == names

    @pytest.mark.parametrize(
        "content", [b"", b"\0\0", b"\0\1\0", b"\0\3\2h2\0", b"\0\2\2h", b"\0\4\2h2\0", b"\0\4\2h2\1"]
    )
    def test_an_empty_or_broken_list_is_a_decode_error(self, content: bytes) -> None:
        error = refusal(Hello().with_extensions(extension(16, content)).message)
        assert (error.alert, error.where) == (AlertDescription.DECODE_ERROR, "alpn")


class TestPreSharedKeys:
    """4.2.11. Pre-Shared Key Extension."""

    def test_identities_are_kept_in_order(self) -> None:
        offered = pre_shared_key([b"first", b"second"], [BINDER, b"b" * 48])
        assert parse_client_hello(Hello().with_extensions(PSK_KEY_EXCHANGE_MODES, offered).message).psk_identities == (
            b"first",
            b"second",
        )

    def test_sixteen_identities_are_kept(self) -> None:
        identities = [bytes((65 + i,)) for i in range(20)]
        offered = pre_shared_key(identities, [BINDER] * 20)
        hello = parse_client_hello(Hello().with_extensions(PSK_KEY_EXCHANGE_MODES, offered).message)
        assert hello.psk_identities == tuple(identities[:16])

    @pytest.mark.parametrize(
        "extensions",
        [
            (pre_shared_key([b"t"], [BINDER]), PSK_KEY_EXCHANGE_MODES),
            (PSK_KEY_EXCHANGE_MODES, pre_shared_key([b"t"], [BINDER]), extension(0x6A6A)),
            (PSK_KEY_EXCHANGE_MODES, pre_shared_key([b"t"], [BINDER, BINDER])),
            (PSK_KEY_EXCHANGE_MODES, pre_shared_key([b"t", b"u"], [BINDER])),
        ],
        ids=["not last", "before GREASE", "more binders", "fewer binders"],
    )
    def test_a_misplaced_or_unmatched_extension_is_an_illegal_parameter(self, extensions: tuple[bytes, ...]) -> None:
        error = refusal(Hello().with_extensions(*extensions).message)
        assert (error.alert, error.reason) == (AlertDescription.ILLEGAL_PARAMETER, HelloFailure.PRE_SHARED_KEY)

    @pytest.mark.parametrize(
        "offered",
        [
            extension(41),
            extension(41, b"\0"),
            extension(41, vector(b"", 2) + vector(b"", 2)),
            pre_shared_key([], [BINDER]),
            pre_shared_key([b""], [BINDER]),
            pre_shared_key([b"t"], [b"b" * 31]),
            pre_shared_key([b"t"], [b""]),
            extension(41, vector(b"\0\1t\0\0\0", 2) + vector(vector(BINDER, 1), 2)),
            extension(41, vector(b"\0\1t\0\0\0\0", 2) + vector(vector(BINDER, 1), 2) + b"\0"),
            extension(41, vector(b"\0\1t\0\0\0\0", 2)),
        ],
    )
    def test_what_cannot_be_decoded_is_a_decode_error(self, offered: bytes) -> None:
        error = refusal(Hello().with_extensions(PSK_KEY_EXCHANGE_MODES, offered).message)
        assert (error.alert, error.where) == (AlertDescription.DECODE_ERROR, "pre_shared_key")


class TestCostOfALargeHello:
    """A hello of 64 KB may neither cost much memory for as long as it is kept nor much time to decode."""

    def test_long_lists_are_kept_whole(self) -> None:
        groups = range(2_000)
        shares = [(group, b"k") for group in range(1_000)]
        hello = parse_client_hello(
            Hello(
                (supported_versions(), supported_groups(groups), key_share(*shares), signature_algorithms(groups))
            ).message
        )
        assert list(hello.supported_groups) == list(groups)
        assert list(hello.signature_algorithms) == list(groups)
        assert list(hello.key_shares) == list(range(1_000))

    @pytest.mark.parametrize(("entries", "kind"), [(256, tuple), (257, array)])
    def test_lists_longer_than_256_entries_are_arrays(self, entries: int, kind: type) -> None:
        codes = range(entries)
        shares = key_share(*((code, b"k") for code in codes))
        hello = parse_client_hello(
            Hello((supported_versions(), supported_groups(codes), shares, signature_algorithms())).message
        )
        assert (type(hello.supported_groups), type(hello.key_shares)) == (kind, kind)

    def test_256_protocols_are_kept(self) -> None:
        names = [pack(">H", i) for i in range(300)]
        assert parse_client_hello(Hello().with_extensions(alpn(*names)).message).alpn == tuple(names[:256])

    @pytest.mark.parametrize(
        "message",
        [
            Hello(cipher_suites=code_points(range(32_000))).message,
            replaced(1, supported_groups(range(32_000))).message,
            replaced(3, signature_algorithms(range(32_000))).message,
            Hello(
                (
                    supported_versions(),
                    supported_groups(range(9_000)),
                    key_share(*((group, b"k") for group in range(9_000))),
                    signature_algorithms(),
                )
            ).message,
            Hello().with_extensions(alpn(*(pack(">H", i) for i in range(21_000)))).message,
            Hello().with_extensions(*(extension(i) for i in range(100, 15_000))).message,
            Hello().with_extensions(PSK_KEY_EXCHANGE_MODES, pre_shared_key([b"t"] * 1_600, [BINDER] * 1_600)).message,
        ],
        ids=[
            "cipher_suites",
            "supported_groups",
            "signature_algorithms",
            "key_share",
            "alpn",
            "unknown",
            "pre_shared_key",
        ],
    )
    @pytest.mark.at_length
    def test_it_keeps_no_more_than_was_sent_and_decodes_quickly(self, message: bytes) -> None:
        parse_client_hello(message)
        start = process_time()
        parse_client_hello(message)
        assert process_time() - start < 0.25  # about 3 ms; anything quadratic takes seconds
        tracemalloc.start()
        hello = parse_client_hello(message)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert hello.legacy_version == 0x0303
        assert kept < len(message) + 16_384

    def test_what_all_hellos_together_leave_behind_is_bounded(self) -> None:
        """The longest lists that are remembered, and each hello has others: 10 KB of them."""
        messages = []
        for number in range(1_100):
            lists = [[1_000 + number, *range(5_000 * kind, 5_000 * kind + 60)] for kind in range(1, 5)]
            others = (supported_groups(lists[0]), key_share(), signature_algorithms(lists[1]))
            versions = supported_versions([*lists[2], 0x0304])
            messages.append(Hello((versions, *others), cipher_suites=code_points(lists[3])).message)
        tracemalloc.start()
        for message in messages:
            parse_client_hello(message)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert kept < 4_000_000


def test_what_is_remembered_is_bounded_and_decodes_to_the_same() -> None:
    client_hello._suites_kept.clear()
    for _ in range(2):
        for number in range(1, 600):
            suites = (number, 0x1301)
            assert parse_client_hello(Hello(cipher_suites=code_points(suites)).message).cipher_suites == suites
            assert 0 < len(client_hello._suites_kept) <= 256


code_point_lists = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=12, unique=True)
host_names = st.from_regex(r"[a-z0-9_-]{1,20}(\.[a-z0-9_-]{1,20}){0,3}", fullmatch=True)


@st.composite
def offers(draw: st.DrawFn) -> tuple[bytes, ClientHello]:
    """A message, and the hello that must come out of it."""
    groups, versions = draw(code_point_lists), draw(code_point_lists)
    hello = ClientHello(
        legacy_version=draw(st.integers(0x0301, 0xFFFF)),
        random=b"r" * 32,
        session_id=draw(st.binary(max_size=32)),
        cipher_suites=tuple(draw(code_point_lists)),
        supported_versions=(*versions, 0x0304),
        supported_groups=tuple(groups),
        key_shares=tuple(draw(st.lists(st.sampled_from(groups), unique=True))),
        signature_algorithms=tuple(draw(code_point_lists)),
        server_name=draw(host_names),
        alpn=tuple(draw(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5))),
        psk_identities=tuple(draw(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5))),
        has_early_data=True,
    )
    extensions = [
        supported_versions(hello.supported_versions),
        supported_groups(hello.supported_groups),
        key_share(*((group, b"key") for group in hello.key_shares)),
        signature_algorithms(hello.signature_algorithms),
        server_name((hello.server_name or "").upper().encode()),
        alpn(*hello.alpn),
        PSK_KEY_EXCHANGE_MODES,
        extension(42),
        extension(0x1A1A, b"\0"),
    ]
    last = pre_shared_key(hello.psk_identities, [BINDER] * len(hello.psk_identities))
    shuffled = draw(st.permutations(extensions))
    parts = Hello((*shuffled, last), hello.legacy_version, hello.session_id, code_points(hello.cipher_suites))
    return parts.message, hello


@given(offers())
def test_what_was_put_in_is_decoded(offer: tuple[bytes, ClientHello]) -> None:
    message, hello = offer
    assert parse_client_hello(message) == hello


@given(position=st.integers(4, len(chrome_hello()) - 1), cut=st.integers(0, 4), inserted=st.binary(max_size=4))
def test_a_broken_hello_is_decoded_or_refused(position: int, cut: int, inserted: bytes) -> None:
    message = chrome_hello()
    broken = handshake(1, message[4:position] + inserted + message[position + cut :])
    with suppress(HelloError):
        assert 0x0304 in parse_client_hello(broken).supported_versions


@given(body=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(HelloError):
        parse_client_hello(handshake(1, body))
