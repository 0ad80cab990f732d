"""Keys that are loaded once, and contexts that share them."""

import ssl
from pathlib import Path

import pytest

from config.schema import HttpProtocol
from proxy.tls.openssl.context import TlsSettings
from proxy.tls.tokens.token_key import KeyContext, NotLoaded, TokenKey
from tests.certificates import Authority, CertificateFiles
from tests.fakes_signing import KeyInFile, token_key
from tests.proxy.tls import hellos

SETTINGS = TlsSettings("X25519MLKEM768 / X25519", "TLS_AES_256_GCM_SHA384", (HttpProtocol.HTTP_1,))
TICKET_KEY = b"name-of-the-key." + bytes(64)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="module")
def files(authority: Authority) -> CertificateFiles:
    return authority.issue("chat", ("chat.example.org",))


def context_of(key: TokenKey) -> KeyContext:
    return KeyContext(key, SETTINGS, "ecdsa_secp256r1_sha256", TICKET_KEY)


def test_nothing_is_loaded_before_it_is_asked_for(files: CertificateFiles) -> None:
    key = token_key(files, is_loaded=False)
    assert not key.is_loaded
    with pytest.raises(NotLoaded):
        context_of(key).current()


def test_context_proves_the_certificate_and_seals_tickets(authority: Authority, files: CertificateFiles) -> None:
    key = token_key(files)
    assert key.token == key.key.token
    client_context = authority.client_context()
    client_context.check_hostname = False
    client = hellos.peer(client_context)
    context = context_of(key).current()
    context.num_tickets = 1  # of OpenSSL: there is no `TlsStream` here
    hellos.converse(client, hellos.peer(context))
    assert client.tls.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
    session = client.tls.session
    assert session is not None
    again = hellos.peer(client_context, session)
    assert TICKET_KEY[:16] in again.answer(b"")


def test_context_is_the_same_as_long_as_the_key_is(files: CertificateFiles) -> None:
    key = token_key(files)
    context = context_of(key)
    first = context.current()
    assert context.current() is first
    key.adopt(key.load())
    second = context.current()
    assert second is not first
    assert context.current() is second
    key.adopt(None)
    assert not key.is_loaded


def test_chain_needs_no_file(files: CertificateFiles, tmp_path: Path) -> None:
    copy = tmp_path / "chain.pem"
    copy.write_bytes(files.certificate.read_bytes())
    key = token_key(CertificateFiles(copy, files.key))
    copy.unlink()
    key.adopt(key.load())
    context_of(key).current()


def test_nobody_is_asked_for_a_passphrase(files: CertificateFiles, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key(files.key.read_bytes(), None)
    sealed = tmp_path / "sealed.key"
    sealed.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    key = TokenKey(KeyInFile("plexi", sealed), files.certificate.read_bytes())
    with pytest.raises(ssl.SSLError):
        key.load()
