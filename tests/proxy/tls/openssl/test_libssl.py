"""What reaches into OpenSSL through ctypes: each setting is seen to work in a handshake, each
refusal is an internal error."""

import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from proxy.tls.openssl import libssl
from proxy.tls.openssl.libssl import InterpreterUnsuitable, LibsslError
from proxy.tls.openssl.tls_object import inner_object, server_object
from proxy.tls.wire.client_hello import parse_client_hello
from proxy.tls.wire.server_hello import parse_server_flight
from tests.certificates import Authority
from tests.proxy.tls import hellos

RECORD_HEADER = 5


def server() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    hellos.load_pem(context, hellos.certificate_pem())
    return context


def client() -> ssl.SSLContext:
    return hellos.client_context("X25519")


def negotiated(client: ssl.SSLContext, server: ssl.SSLContext) -> hellos.Peer:
    """The client's side of a finished handshake."""
    one, two = hellos.peer(client), hellos.peer(server)
    hellos.converse(one, two)
    return one


def in_a_process(code: str) -> "subprocess.CompletedProcess[str]":
    """Run code in an interpreter of its own; `ssl` and `libssl` are there."""
    preamble = "import ssl, sys\nfrom proxy.tls.openssl import libssl\n"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", preamble + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class TestSelfCheck:
    def test_this_interpreter_passes(self) -> None:
        libssl.self_check()

    def test_library_is_the_one_that_the_interpreter_is_linked_to(self) -> None:
        path = Path(libssl.libssl_path())
        assert path.is_file()
        assert path.name.startswith("libssl.so")
        assert libssl._library().OpenSSL_version_num() == ssl.OPENSSL_VERSION_NUMBER

    def test_another_layout_of_contexts_is_noticed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pointer = libssl.context_pointer(other)
        monkeypatch.setattr(libssl, "context_pointer", lambda _: pointer)
        with pytest.raises(InterpreterUnsuitable, match="lays out SSLContext in an unknown way"):
            libssl.self_check()

    def test_another_layout_of_connections_is_noticed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        other = server_object(context, ssl.MemoryBIO(), ssl.MemoryBIO())
        pointer = libssl.connection_pointer(other)
        monkeypatch.setattr(libssl, "connection_pointer", lambda _: pointer)
        with pytest.raises(InterpreterUnsuitable, match="lays out its TLS objects in an unknown way"):
            libssl.self_check()

    def test_another_layout_of_memory_is_noticed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        other = ssl.MemoryBIO()
        pointer = libssl._bio(other)
        monkeypatch.setattr(libssl, "_bio", lambda _: pointer)
        with pytest.raises(InterpreterUnsuitable, match="lays out MemoryBIO in an unknown way"):
            libssl.self_check()

    @pytest.mark.parametrize(
        ("spoil", "found", "remedy"),
        [
            ("import _ssl; del _ssl.__file__", "built into this Python", "/usr/bin/python3"),
            (
                "import _ssl, _ctypes; _ssl.__file__ = _ctypes.__file__",
                "not linked dynamically to a libssl",
                "/usr/bin/p",
            ),
            ("sys.version_info = (3, 15, 0); sys.version = '3.15.0'", "Python 3.15.0 is newer", "use 3.11 to 3.14"),
        ],
    )
    def test_unsuitable_interpreter_is_named_with_a_remedy(self, spoil: str, found: str, remedy: str) -> None:
        done = in_a_process(
            f"""
            {spoil}
            try:
                libssl.self_check()
            except libssl.InterpreterUnsuitable as error:
                print(error)
            """
        )
        assert done.stderr == ""
        assert found in done.stdout
        assert remedy in done.stdout
        assert done.stdout.count("\n") == 1

    def test_library_that_is_not_mapped_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Path, "read_text", lambda *_, **__: "7f00-7f01 r-xp 0 00:00 0 /usr/lib/libc.so.6\n")
        with pytest.raises(InterpreterUnsuitable, match="no libssl is mapped"):
            libssl.libssl_path()


class TestGroups:
    @pytest.mark.parametrize("groups", ["X25519", "X25519MLKEM768 / X25519", "x25519mlkem768:P-256 / secp384r1"])
    def test_list_decides_what_is_negotiated(self, groups: str) -> None:
        context = server()
        libssl.set_groups(context, groups)
        one, two = hellos.peer(hellos.client_context("X25519:secp256r1:X25519MLKEM768")), hellos.peer(context)
        hellos.converse(one, two)
        expected = 0x001D if groups == "X25519" else 0x11EC
        assert parse_server_flight(two.sent[-2] if len(two.sent) > 2 else two.sent[0]).group == expected

    @pytest.mark.parametrize("groups", ["nonsense", "X25519:nonsense", "X25519 / / X448", "\N{SNOWMAN}"])
    def test_unknown_ones_are_refused_with_their_name(self, groups: str) -> None:
        with pytest.raises(LibsslError) as caught:
            libssl.set_groups(server(), groups)
        assert str(caught.value) == f"OpenSSL refuses the group list {groups!r}"

    def test_implemented_ones_are_listed_with_all_hybrids(self) -> None:
        groups = libssl.implemented_groups(client())
        assert {"X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "MLKEM1024", "x25519"} <= set(groups)
        for name in groups:
            libssl.set_groups(client(), name)


class TestSignatureAlgorithms:
    def test_list_decides_what_is_offered(self) -> None:
        context = client()
        libssl.set_signature_algorithms(context, "ed25519:ecdsa_secp256r1_sha256:mldsa65")
        hello = parse_client_hello(hellos.peer(context).answer(b"")[RECORD_HEADER:])
        assert hello.signature_algorithms == (0x0807, 0x0403, 0x0905)

    def test_unknown_ones_are_refused_with_their_name(self) -> None:
        with pytest.raises(LibsslError, match="the signature algorithm list 'nonsense'"):
            libssl.set_signature_algorithms(server(), "nonsense")


class TestCipherSuites:
    def test_list_decides_what_is_negotiated(self) -> None:
        context = server()
        libssl.set_ciphersuites(context, "TLS_AES_128_GCM_SHA256")
        assert negotiated(client(), context).tls.cipher() == ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)

    def test_unknown_ones_are_refused_with_their_name(self) -> None:
        with pytest.raises(LibsslError, match="the cipher suites 'TLS_NONSENSE'"):
            libssl.set_ciphersuites(server(), "TLS_NONSENSE")

    def test_chacha_comes_first_for_a_client_that_puts_it_first(self) -> None:
        context = server()
        context.options |= libssl.PRIORITIZE_CHACHA
        libssl.set_ciphersuites(context, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256")
        phone, desktop = client(), client()
        libssl.set_ciphersuites(phone, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384")
        libssl.set_ciphersuites(desktop, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384")
        assert _suite(negotiated(phone, context)) == "TLS_CHACHA20_POLY1305_SHA256"
        assert _suite(negotiated(desktop, context)) == "TLS_AES_256_GCM_SHA384"


def _suite(peer: hellos.Peer) -> str:
    cipher = peer.tls.cipher()
    assert cipher is not None
    return cipher[0]


class TestTicketKey:
    def test_ticket_begins_with_the_name_of_the_key(self) -> None:
        context = server()
        libssl.set_ticket_key(context, b"name of the key!" + bytes(64))
        session = negotiated(client(), context).tls.session
        assert session is not None
        again = client()
        one, two = hellos.peer(again), hellos.peer(context)
        hellos.converse(one, two)
        hello = parse_client_hello(hellos.peer(again, one.tls.session).answer(b"")[RECORD_HEADER:])
        assert [identity[:16] for identity in hello.psk_identities] == [b"name of the key!"]

    @pytest.mark.parametrize("size", [0, 48, 79, 81])
    def test_other_lengths_are_refused_without_showing_the_key(self, size: int) -> None:
        with pytest.raises(LibsslError) as caught:
            libssl.set_ticket_key(server(), b"k" * size)
        assert str(caught.value) == f"OpenSSL refuses a session ticket key of '{size} bytes'"

    def test_refusal_of_openssl_does_not_show_the_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(libssl, "_CTRL_SET_TICKET_KEYS", 12_345)
        with pytest.raises(LibsslError) as caught:
            libssl.set_ticket_key(server(), b"k" * 80)
        assert "kkk" not in repr(caught.value)


class TestSharing:
    """A key that one context has loaded serves another one."""

    @pytest.fixture
    def chain(self, tmp_path: Path) -> Path:
        path = tmp_path / "chain.pem"
        path.write_bytes(hellos.certificate_pem())
        return path

    def test_shared_key_signs(self, chain: Path) -> None:
        target = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        libssl.share_credential(chain, hellos.server_context("X25519MLKEM768"), target)
        client = hellos.peer(hellos.client_context("X25519MLKEM768"))
        hellos.converse(client, hellos.peer(target))
        assert client.tls.getpeercert(binary_form=True)

    def test_it_outlives_the_context_that_loaded_it(self, chain: Path) -> None:
        target, source = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), hellos.server_context("X25519MLKEM768")
        libssl.share_credential(chain, source, target)
        del source
        hellos.converse(hellos.peer(hellos.client_context("X25519MLKEM768")), hellos.peer(target))

    def test_chain_that_cannot_be_read(self, tmp_path: Path) -> None:
        target = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with pytest.raises(LibsslError, match="certificate chain"):
            libssl.share_credential(tmp_path / "none.pem", hellos.server_context("X25519"), target)

    def test_context_without_a_key(self, chain: Path) -> None:
        empty, target = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with pytest.raises(LibsslError, match="key for the certificate"):
            libssl.share_credential(chain, empty, target)


class TestKeyShare:
    """What is kept of the peer's key after a handshake, and that the connection does not need
    it."""

    @pytest.mark.parametrize(("group", "size"), [("X25519MLKEM768", 1216), ("MLKEM1024", 1568), ("X25519", 32)])
    def test_key_is_gone_and_the_connection_goes_on(self, group: str, size: int) -> None:
        context = server()
        libssl.set_groups(context, group)
        one, two = hellos.peer(hellos.client_context(group)), hellos.peer(context)
        hellos.converse(one, two)
        assert hellos.key_share_bytes(inner_object(two.tls)) == size
        for _ in range(2):
            libssl.forget_key_share(inner_object(two.tls))
            assert hellos.key_share_bytes(inner_object(two.tls)) == 0
        two.tls.write(b"hello")
        one.incoming.write(two.outgoing.read())
        assert one.tls.read() == b"hello"

    def test_there_is_none_before_a_handshake(self) -> None:
        libssl.forget_key_share(server_object(server(), ssl.MemoryBIO(), ssl.MemoryBIO()))


class TestGoodbye:
    def test_goodbye_is_written_although_there_is_unread_data(self) -> None:
        one, two = hellos.peer(hellos.client_context("X25519")), hellos.peer(server())
        hellos.converse(one, two)
        one.tls.write(b"hello")
        two.incoming.write(one.outgoing.read())
        two.outgoing.read()  # the tickets
        libssl.say_goodbye(inner_object(two.tls))
        assert two.outgoing.pending == RECORD_HEADER + 2 + 1 + 16
        one.incoming.write(two.outgoing.read())
        assert one.tls.read() == b""

    def test_failed_connection_leaves_no_error_to_the_next_one(self) -> None:
        one, two = hellos.peer(hellos.client_context("X25519")), hellos.peer(server())
        hellos.converse(one, two)
        libssl.say_goodbye(server_object(server(), ssl.MemoryBIO(), ssl.MemoryBIO()))  # before its handshake
        with pytest.raises(ssl.SSLWantReadError):
            two.tls.read(1)


def test_chain_is_sent_as_it_was_loaded(tmp_path: Path) -> None:
    """A context that knows the authority as well would send it, too."""
    authority = Authority(tmp_path)
    sent = []
    for is_told in (False, True):
        context = authority.issue("localhost").server_context()
        context.load_verify_locations(authority.path)
        if is_told:
            libssl.send_chain_as_loaded(context)
        one = hellos.peer(hellos.client_context("X25519MLKEM768"))
        hellos.converse(one, hellos.peer(context))
        sent.append(len(one.tls._sslobj.get_unverified_chain()))  # type: ignore[attr-defined]
    assert sent == [2, 1]


def test_no_sessions_are_kept_in_memory() -> None:
    """They would be where tickets are switched off or carry early data."""
    keeping, forgetting = server(), server()
    libssl.disable_session_cache(forgetting)
    for context in (keeping, forgetting):
        context.options |= ssl.OP_NO_TICKET
        negotiated(client(), context)
    assert keeping.session_stats()["number"] >= 1
    assert forgetting.session_stats()["number"] == 0


class TestConfiguration:
    def test_provider_is_there_when_its_module_is(self, tmp_path: Path) -> None:
        """OpenSSL reports success for a configuration whose provider is missing; we do not."""
        path = tmp_path / "openssl.cnf"
        path.write_text(
            "openssl_conf = a\n[a]\nproviders = b\n[b]\ndefault = c\nlegacy = c\nnonsense = c\n[c]\nactivate = 1\n"
        )
        done = in_a_process(
            f"""
            from pathlib import Path
            print([libssl.provider_is_available(name) for name in ("default", "legacy", "nonsense")])
            libssl.load_configuration(Path({str(path)!r}))
            print([libssl.provider_is_available(name) for name in ("default", "legacy", "nonsense")])
            """
        )
        assert done.stderr == ""
        before, after = done.stdout.splitlines()
        assert before.endswith("False, False]")
        assert after == "[True, True, False]"

    def test_file_that_cannot_be_used_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "openssl.cnf"
        path.write_text("[unfinished\n")
        with pytest.raises(LibsslError, match=f"the configuration file '{path}'"):
            libssl.load_configuration(path)
