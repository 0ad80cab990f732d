"""A real TLS client, OpenSSL on memory BIOs, whose every byte on the wire a test can hold, cut
or spoil."""

import contextlib
import ctypes
import socket
import ssl

from proxy.tls.openssl.libssl import context_pointer
from tests.fakes import FakeLoop

KEY_UPDATE_NOT_REQUESTED, KEY_UPDATE_REQUESTED = 0, 1
"""Update types of `SSL_key_update`, openssl/ssl.h."""
EARLY_DATA_ACCEPTED = 2
"""`SSL_get_early_data_status`, openssl/ssl.h."""


class TlsClient:
    """Speaks TLS on `sock`, which never blocks; nothing is sent or read but when it is asked."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        name: str | None = "chat.example.org",
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)
        self.is_established = False
        self.sees_end = False
        """Whether the TCP stream has ended cleanly."""
        self.is_reset = False

    # -- what goes to the wire

    def handshake_step(self) -> bytes:
        """One step of the handshake with what has arrived; the bytes to send."""
        try:
            self.tls.do_handshake()
            self.is_established = True
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def offer_protocols(self, names: bytes) -> None:
        """Have the next ClientHello offer these by ALPN: their lengths and names in a row; none
        if there are none."""
        libssl = ctypes.CDLL("libssl.so.3")
        libssl.SSL_set_alpn_protos.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint]
        assert libssl.SSL_set_alpn_protos(_pointer(self.tls), names or None, len(names)) == 0

    def sealed(self, data: bytes) -> bytes:
        """Records with `data`."""
        self.tls.write(data)
        return self.outgoing.read()

    def key_updates(self, count: int, update_type: int = KEY_UPDATE_REQUESTED) -> bytes:
        """Records with a KeyUpdate each."""
        libssl = ctypes.CDLL("libssl.so.3")
        libssl.SSL_key_update.argtypes = [ctypes.c_void_p, ctypes.c_int]
        for _ in range(count):
            assert libssl.SSL_key_update(_pointer(self.tls), update_type) == 1
            self.tls.do_handshake()
        return self.outgoing.read()

    def pad_records(self, block: int) -> bytes:
        """Pad each record to a multiple of so many bytes (RFC 8446 section 5.4) behind the
        KeyUpdate that is answered."""
        libssl = ctypes.CDLL("libssl.so.3")
        libssl.SSL_set_block_padding.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        assert libssl.SSL_set_block_padding(_pointer(self.tls), block) == 1
        return self.key_updates(1, KEY_UPDATE_NOT_REQUESTED)

    def close_notify(self) -> bytes:
        """The alert that says that we will send no more; reading continues."""
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        return self.outgoing.read()

    def early_data(self, data: bytes) -> bytes:
        """The ClientHello of a resumption, with early data behind it."""
        written = ctypes.c_size_t()
        libssl = ctypes.CDLL("libssl.so.3")
        libssl.SSL_write_early_data.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.POINTER(ctypes.c_size_t),
        ]
        assert libssl.SSL_write_early_data(_pointer(self.tls), data, len(data), ctypes.byref(written)) == 1
        return self.outgoing.read()

    @property
    def is_early_data_accepted(self) -> bool:
        """What the server said about it."""
        libssl = ctypes.CDLL("libssl.so.3")
        libssl.SSL_get_early_data_status.argtypes = [ctypes.c_void_p]
        return bool(libssl.SSL_get_early_data_status(_pointer(self.tls)) == EARLY_DATA_ACCEPTED)

    # -- what comes from it

    def receive(self) -> bytes:
        """Take what has arrived off the socket, into the BIO; answer the raw bytes."""
        if self.sees_end:
            return b""
        received = b""
        while not self.sees_end:
            try:
                piece = self.sock.recv(65_536)
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.is_reset = True
                break
            if piece:
                received += piece
            else:
                self.sees_end = True
        self.incoming.write(received)
        if self.sees_end:
            self.incoming.write_eof()
        return received

    def read(self) -> bytes:
        """Everything that has arrived, decrypted, up to a close_notify (see `is_closed`). Raises
        `ssl.SSLError`."""
        self.receive()
        data = b""
        try:
            while piece := self.tls.read(65_536):
                data += piece
        except ssl.SSLWantReadError:
            pass
        return data

    @property
    def is_closed(self) -> bool:
        """Whether the server said close_notify, behind data that was read already."""
        self.receive()
        try:
            return self.tls.read(1) == b""
        except ssl.SSLZeroReturnError:  # ours was sent as well
            return True
        except ssl.SSLError:
            return False

    # -- both

    def establish(self, loop: FakeLoop) -> None:
        """Finish the handshake with a server that runs on `loop`, and take its session tickets."""
        for _ in range(10):
            self.sock.sendall(self.handshake_step())
            loop.settle()
            self.receive()
            if self.is_established:
                return
        raise AssertionError("the handshake does not end")


def allow_early_data(context: ssl.SSLContext, size: int = 16_384) -> None:
    """Have a server's context put into its tickets that early data is welcome, as ours never do."""
    libssl = ctypes.CDLL("libssl.so.3")
    libssl.SSL_CTX_set_max_early_data.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    assert libssl.SSL_CTX_set_max_early_data(context_pointer(context), size) == 1


class _SslSocketHead(ctypes.Structure):
    """Head of CPython's `PySSLSocket`: PyObject_HEAD, the Python socket, then the `SSL *`."""

    _fields_ = (  # type: ignore[mutable-override]
        ("head", ctypes.c_byte * object.__basicsize__),
        ("socket", ctypes.c_void_p),
        ("ssl", ctypes.c_void_p),
    )


def _pointer(tls: ssl.SSLObject) -> int:
    pointer: int | None = _SslSocketHead.from_address(id(tls._sslobj)).ssl  # type: ignore[attr-defined]
    assert pointer
    return pointer
