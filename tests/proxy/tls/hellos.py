"""ClientHellos and server flights for tests: built by hand, and taken from real OpenSSL clients and servers."""

import ctypes
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from proxy.tls.openssl import libssl
from proxy.tls.openssl.tls_object import TlsObject

SET_GROUPS_LIST = 92
GET_PEER_TMP_KEY = 109
SET_SIGALGS_LIST = 98
"""Commands of `SSL_CTX_ctrl`, openssl/ssl.h."""


class _SslContextHead(ctypes.Structure):
    _fields_ = (("head", ctypes.c_byte * object.__basicsize__), ("ssl_ctx", ctypes.c_void_p))  # type: ignore[mutable-override]


def openssl_takes(context: ssl.SSLContext, command: int, value: str) -> bool:
    """Apply a list to a context; whether OpenSSL takes it."""
    libssl = ctypes.CDLL("libssl.so.3")
    libssl.SSL_CTX_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p]
    return bool(libssl.SSL_CTX_ctrl(_SslContextHead.from_address(id(context)).ssl_ctx, command, 0, value.encode()) == 1)


# -- by hand


def vector(content: bytes, prefix_bytes: int) -> bytes:
    """A vector of RFC 8446 section 3.4: its length, then its content."""
    return len(content).to_bytes(prefix_bytes) + content


def code_points(values: Iterable[int]) -> bytes:
    """16-bit numbers in a row."""
    return b"".join(pack(">H", value) for value in values)


def extension(extension_type: int, content: bytes = b"") -> bytes:
    """One extension."""
    return pack(">H", extension_type) + vector(content, 2)


def server_name(name: bytes) -> bytes:
    """The server_name extension."""
    return extension(0, vector(b"\0" + vector(name, 2), 2))


def supported_groups(groups: Iterable[int]) -> bytes:
    """The supported_groups extension."""
    return extension(10, vector(code_points(groups), 2))


def signature_algorithms(schemes: Iterable[int] = (0x0403, 0x0804)) -> bytes:
    """The signature_algorithms extension."""
    return extension(13, vector(code_points(schemes), 2))


def alpn(*names: bytes) -> bytes:
    """The application_layer_protocol_negotiation extension."""
    return extension(16, vector(b"".join(vector(name, 1) for name in names), 2))


def pre_shared_key(identities: Sequence[bytes], binders: Sequence[bytes]) -> bytes:
    """The pre_shared_key extension, with an obfuscated age of zero."""
    offered = b"".join(vector(identity, 2) + bytes(4) for identity in identities)
    return extension(41, vector(offered, 2) + vector(b"".join(vector(binder, 1) for binder in binders), 2))


def supported_versions(versions: Iterable[int] = (0x0304,)) -> bytes:
    """The supported_versions extension."""
    return extension(43, vector(code_points(versions), 1))


PSK_KEY_EXCHANGE_MODES = extension(45, vector(b"\1", 1))


def key_share(*shares: tuple[int, bytes]) -> bytes:
    """The key_share extension."""
    return extension(51, vector(b"".join(pack(">H", group) + vector(key, 2) for group, key in shares), 2))


MINIMAL_EXTENSIONS = (supported_versions(), supported_groups([29]), key_share((29, b"k" * 32)), signature_algorithms())


@dataclass(frozen=True)
class Hello:
    """The parts of a ClientHello; `message` puts them together, right or wrong."""

    extensions: Sequence[bytes] = MINIMAL_EXTENSIONS
    legacy_version: int = 0x0303
    session_id: bytes = b"s" * 32
    cipher_suites: bytes = code_points([0x1302, 0x1303, 0x1301])
    compression: bytes = b"\0"

    def with_extensions(self, *more: bytes) -> "Hello":
        """The same hello with more extensions behind its own."""
        return replace(self, extensions=(*self.extensions, *more))

    @property
    def body(self) -> bytes:
        """Everything before the extensions."""
        return (
            pack(">H", self.legacy_version)
            + b"r" * 32
            + vector(self.session_id, 1)
            + vector(self.cipher_suites, 2)
            + vector(self.compression, 1)
        )

    @property
    def message(self) -> bytes:
        """The handshake message."""
        return handshake(1, self.body + vector(b"".join(self.extensions), 2))


def handshake(message_type: int, body: bytes) -> bytes:
    """A handshake message."""
    return bytes((message_type,)) + vector(body, 3)


def record(content: bytes, content_type: int = 22, version: int = 0x0301) -> bytes:
    """A plaintext record."""
    return pack(">BH", content_type, version) + vector(content, 2)


def records(message: bytes, fragment_bytes: int) -> bytes:
    """A message cut into records of `fragment_bytes` each."""
    return b"".join(record(message[i : i + fragment_bytes]) for i in range(0, len(message), fragment_bytes))


def chrome_hello(name: bytes = b"chat.example.org") -> bytes:
    """A hello as Chrome sends it: GREASE everywhere, an outer Encrypted ClientHello, two key shares, 1.7 KB."""
    return Hello(
        cipher_suites=bytes.fromhex("4a4a 1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 009c 009d 002f 0035"),
        extensions=(
            extension(0x6A6A),
            extension(23),  # extended_master_secret
            extension(0x44CD, vector(b"\2h2", 2)),  # application_settings
            extension(27, b"\2\0\2"),  # compress_certificate
            supported_versions([0x8A8A, 0x0304, 0x0303]),
            extension(0xFE0D, bytes.fromhex("00 0001 0001 2a 0020") + b"e" * 32 + vector(b"p" * 208, 2)),
            extension(35),  # session_ticket
            supported_groups([0x2A2A, 0x11EC, 29, 23, 24]),
            alpn(b"h2", b"http/1.1"),
            signature_algorithms([0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]),
            extension(5, b"\1\0\0\0\0"),  # status_request
            key_share((0x2A2A, b"\0"), (0x11EC, b"h" * 1216), (29, b"x" * 32)),
            extension(11, b"\1\0"),  # ec_point_formats
            PSK_KEY_EXCHANGE_MODES,
            extension(0xFF01, b"\0"),  # renegotiation_info
            server_name(name),
            extension(18),  # signed_certificate_timestamp
            extension(0xCACA, b"\0"),
        ),
    ).message


# -- from OpenSSL


def self_signed(key: ec.EllipticCurvePrivateKey | mldsa.MLDSA65PrivateKey) -> x509.Certificate:
    """A certificate for localhost."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36_500))
    )
    return builder.sign(key, hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None)


def pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | mldsa.MLDSA65PrivateKey) -> bytes:
    """A certificate and its key as one file."""
    return certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@cache
def certificate_pem() -> bytes:
    """An ECDSA certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return pem(self_signed(key), key)


def load_pem(context: ssl.SSLContext, credential: bytes) -> None:
    """Load a certificate with its key, which `ssl` takes from files only."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "pem"
        path.write_bytes(credential)
        context.load_cert_chain(path)


def server_context(groups: str) -> ssl.SSLContext:
    """A server for `groups`, in OpenSSL's syntax."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    load_pem(context, certificate_pem())
    assert openssl_takes(context, SET_GROUPS_LIST, groups)
    return context


def client_context(groups: str) -> ssl.SSLContext:
    """A client for `groups` that believes every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert openssl_takes(context, SET_GROUPS_LIST, groups)
    return context


@dataclass
class Peer:
    """One side of a handshake in memory."""

    tls: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    sent: list[bytes] = field(default_factory=list)

    def answer(self, data: bytes) -> bytes:
        """Take `data`, make one step, give what is to be sent."""
        self.incoming.write(data)
        try:
            self.tls.do_handshake()
            while True:
                self.tls.read()
        except ssl.SSLWantReadError:
            pass
        self.sent.append(self.outgoing.read())
        return self.sent[-1]


def peer(context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Peer:
    """Set up one side; `session` resumes on the client's."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    is_server = context.protocol is ssl.PROTOCOL_TLS_SERVER
    name = None if is_server else "chat.example.org"
    return Peer(context.wrap_bio(incoming, outgoing, is_server, name, session), incoming, outgoing)


def converse(client: Peer, server: Peer) -> None:
    """Let both talk until neither has anything more to say; what each sent is in its `sent`."""
    data = client.answer(b"")
    while data:
        data = client.answer(server.answer(data))


def key_share_bytes(tls: TlsObject) -> int:
    """How long the peer's key of the key exchange is that OpenSSL keeps; 0 if it keeps none."""
    library, key, size = libssl._library(), ctypes.c_void_p(), ctypes.c_size_t()
    assert library.SSL_ctrl(libssl._connection(tls), GET_PEER_TMP_KEY, ctypes.c_long(0), ctypes.byref(key)) == 1
    try:
        public = ctypes.create_string_buffer(4_096)
        size.value = len(public)
        is_there = library.EVP_PKEY_get_raw_public_key(key, public, ctypes.byref(size)) == 1
        return size.value if is_there else 0
    finally:
        library.EVP_PKEY_free(key)
