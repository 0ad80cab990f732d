"""What OpenSSL does with the certificates of clients; `test_client_trust` sees it in handshakes."""

import ssl
from pathlib import Path

import pytest

from proxy.tls.openssl import libssl_peers
from proxy.tls.openssl.libssl import LibsslError
from tests.certificates import Authority
from tests.client_authorities import ClientAuthority
from tests.proxy.tls.client_visits import client, server, trust, visit

ROOT = ClientAuthority("Root")


@pytest.fixture
def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def test_file_without_names_is_refused(context: ssl.SSLContext, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", "missing"):
        with pytest.raises(LibsslError, match="names of authorities"):
            libssl_peers.ask_for_certificates(context, tmp_path / name, depth=1, most_bytes=1_000)


def test_unknown_signature_algorithms_are_refused(context: ssl.SSLContext) -> None:
    with pytest.raises(LibsslError, match="signature algorithms of clients"):
        libssl_peers.set_client_signature_algorithms(context, "nonsense")


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"\x30\x82\xff\xff"])
def test_what_is_no_certificate_is_refused(context: ssl.SSLContext, der: bytes, tmp_path: Path) -> None:
    assert libssl_peers.verify(context, der, ()) == "it cannot be read"
    issued = ROOT.issue(tmp_path, "bot")
    assert libssl_peers.verify(context, issued.der, [der]) == "it cannot be read"


def test_tickets_carry_data(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = server(authority.issue("chat", ("chat.example.org",)), trust(ROOT, is_required=False))
    by = client(authority)
    for data in (b"", b"\x00chain\x00"):
        first = visit(context, by)
        assert libssl_peers.ticket_data(first.last.tls) == b""
        if data:
            libssl_peers.put_in_tickets(first.last.tls, data)
        again = visit(context, by, first.session())
        assert again.client.tls.session_reused
        assert libssl_peers.ticket_data(again.last.tls) == data
