"""A TLS client that sends exactly the bytes it is given, cut into records and segments as it is told."""

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.hostile.segments import Segments
from tests.hostile.strict import Message, NotStrict, ResponseReader

WAIT_SECONDS = 10.0
"""Nothing takes that long: whoever waits longer has found a bug."""

BLOCKED_SECONDS = 0.3
"""Over loopback: buffers that have taken nothing for so long are full."""

_READ_BYTES = 262_144


class Cut(Enum):
    """How bytes are spread over records and segments; no way may make a difference."""

    WHOLE = auto()
    """One record, one segment."""
    RECORDS = auto()
    """A record for each byte, all of them in one segment."""
    SEGMENTS = auto()
    """One record, a segment for each of its bytes."""
    BYTES = auto()
    """A record and a segment for each byte."""


class End(Enum):
    """How the proxy ended a connection."""

    CLEAN = auto()
    """With close_notify."""
    CUT = auto()
    """Without, so that the client sees that something is missing."""
    ALERT = auto()
    """With a fatal alert."""
    RESET = auto()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener is, and the certificates that its clients trust."""

    port: int
    trusted: Path


class Client:
    """One connection. Use as a context manager."""

    def __init__(
        self,
        address: Address,
        server_name: str | None = "chat.test",
        context: ssl.SSLContext | None = None,
        *,
        receive_bytes: int = 0,
        source: str = "",
        session: ssl.SSLSession | None = None,
    ) -> None:
        """Connect as `connect` does and shake hands; `session` is to be resumed. Raises ssl.SSLError, OSError."""
        self.sock = connect(address.port, receive_bytes, source)
        self.end: End | None = None
        self.alert = ""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or trusting_context(address.trusted)
        self._received = b""
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name, session=session)
        try:
            self._shake_hands()
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def _shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
            else:
                self._flush()
                return
            self._incoming_from_socket()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.sock.sendall(self._outgoing.read())

    def _incoming_from_socket(self) -> None:
        data = self.sock.recv(_READ_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    # -- sending

    def send(self, data: bytes, cut: Cut = Cut.WHOLE) -> None:
        """Send; what a proxy does not take that has closed already is lost, as for any client."""
        pieces = [data[i : i + 1] for i in range(len(data))] if cut in (Cut.RECORDS, Cut.BYTES) else [data]
        wire = [self.sealed(piece) for piece in pieces]
        match cut:
            case Cut.WHOLE | Cut.RECORDS:
                self.send_raw(b"".join(wire))
            case Cut.SEGMENTS:
                self.send_raw(*(wire[0][i : i + 1] for i in range(len(wire[0]))))
            case Cut.BYTES:
                self.send_raw(*wire)

    def send_raw(self, *segments: bytes) -> None:
        """Send bytes on the TCP connection; of several segments, each is sent when the one before it has been read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what was said before can still be read
            if len(segments) == 1:
                self.sock.sendall(segments[0])
                return
            with Segments(self.sock) as reader:
                reader.send(segments)

    def send_until_blocked(self, data: bytes) -> bytes:
        """Send until nothing has been taken for a while; what is left is for `send_raw`."""
        return self.send_raw_until_blocked(self.sealed(data))

    def send_raw_until_blocked(self, wire: bytes) -> bytes:
        """As `send_until_blocked`, of bytes on the TCP connection."""
        left = memoryview(wire)
        self.sock.settimeout(BLOCKED_SECONDS)
        with contextlib.suppress(TimeoutError):
            while left:
                left = left[self.sock.send(left) :]
        self.sock.settimeout(WAIT_SECONDS)
        return bytes(left)

    def sealed(self, data: bytes) -> bytes:
        """The records for `data`."""
        self.tls.write(data)
        return self._outgoing.read()

    def reset(self) -> None:
        """Go away with a reset, as a client does that crashed, or that left without reading what had come."""
        if self.sock.fileno() >= 0:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()

    def shut_down(self, *, says_so: bool = True) -> None:
        """End our direction, with or without close_notify before."""
        if says_so:
            with contextlib.suppress(ssl.SSLError):
                self.tls.unwrap()  # wants the other side's close_notify, too
            self.send_raw(self._outgoing.read())
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    # -- receiving

    def read_response(self, method: str = "GET") -> Message:
        """Read one response; a 1xx is one. Raises NotStrict for anything else, an end of the connection too."""
        reader = ResponseReader(method)
        reader.feed(self._received)
        while not reader.is_complete:
            data = self.read()
            if data:
                reader.feed(data)
            elif self.end is End.CLEAN:
                reader.end()
            else:
                raise NotStrict(f"{self.end} in the middle of a response")
        self._received = reader.rest
        assert reader.message is not None  # complete
        return reader.message

    def read(self) -> bytes:
        """Read decrypted bytes; none at the end of the connection, which `end` then describes."""
        while self.end is None:
            try:
                data = self.tls.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                self._more()
                continue
            except ssl.SSLEOFError:
                self.end = End.CUT
            except ssl.SSLZeroReturnError:
                self.end = End.CLEAN  # both sides have said so
            except ssl.SSLError as error:
                self.end, self.alert = End.ALERT, error.reason or str(error)
            else:
                if data:
                    return data
                self.end = End.CLEAN
        return b""

    def _more(self) -> None:
        try:
            self._flush()
            self._incoming_from_socket()
        except (ConnectionResetError, BrokenPipeError):
            self.end = End.RESET

    def read_to_end(self) -> bytes:
        """Read all that still comes, up to the end of the connection."""
        pieces = [self._received]
        self._received = b""
        while data := self.read():
            pieces.append(data)
        return b"".join(pieces)

    def await_end(self) -> End:
        """Read to the end, where nothing but the end may come. Raises NotStrict."""
        rest = self.read_to_end()
        if rest:
            raise NotStrict(f"behind the last response: {rest[:100]!r}")
        assert self.end is not None  # set at the end
        return self.end


def connect(port: int, receive_bytes: int = 0, source: str = "") -> socket.socket:
    """A TCP connection without delays.

    Without a size its receive buffer grows as the kernel likes; `source` is another address of ours than the usual one.
    """
    sock = socket.socket()
    sock.settimeout(WAIT_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)  # before there is a window to offer
    try:
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return sock


@cache
def trusting_context(trusted: Path) -> ssl.SSLContext:
    """A verifying client that trusts the certificates of the tests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusted)
    return context


class Records:
    """Seals records of one direction by hand, after a handshake that the standard library made.

    The standard library sends neither empty records, nor KeyUpdates, nor broken ones. Its key log holds what it takes to do so
    (RFC 8446 section 7.3). Afterwards nothing may be sent in that direction by the library itself.
    """

    def __init__(self, key_log: Path, label: str, cipher: str) -> None:
        """`key_log` is the `keylog_filename` of a context, written by one connection, `label` that of its direction there."""
        secrets = dict(line.split()[0::2] for line in key_log.read_text().splitlines() if not line.startswith("#"))
        self._hash = hashes.SHA384() if cipher.endswith("SHA384") else hashes.SHA256()
        self._key_bytes = 16 if "128" in cipher else 32
        self._cipher = ChaCha20Poly1305 if "CHACHA20" in cipher else AESGCM
        self._secret = bytes.fromhex(secrets[label])
        self._derive_keys()

    @classmethod
    def of_client(cls, client: Client, key_log: Path) -> Self:
        """For the direction of a client that has shaken hands."""
        cipher = client.tls.cipher()
        assert cipher is not None  # shaken hands
        return cls(key_log, "CLIENT_TRAFFIC_SECRET_0", cipher[0])

    def _derive_keys(self) -> None:
        self._aead = self._cipher(self._expanded("key", self._key_bytes))
        self._iv = int.from_bytes(self._expanded("iv", 12))
        self._sequence = 0

    def _expanded(self, label: str, length: int) -> bytes:
        name = b"tls13 " + label.encode()
        info = length.to_bytes(2) + bytes([len(name)]) + name + b"\0"
        return HKDFExpand(self._hash, length, info).derive(self._secret)

    def record(self, content: bytes, content_type: int = 23, padding: int = 0) -> bytes:
        """One protected record (section 5.2)."""
        inner = content + bytes([content_type]) + bytes(padding)
        header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2)
        nonce = (self._iv ^ self._sequence).to_bytes(12)
        self._sequence += 1
        return header + self._aead.encrypt(nonce, inner, header)

    def key_update(self, request: int = 1) -> bytes:
        """A KeyUpdate, under the old keys; what follows is sealed by the new ones (sections 4.6.3, 7.2)."""
        sealed = self.record(bytes([24, 0, 0, 1, request]), content_type=22)
        self._secret = self._expanded("traffic upd", len(self._secret))
        self._derive_keys()
        return sealed


def logging_context(trusted: Path, key_log: Path) -> ssl.SSLContext:
    """As `trusting_context`, with the key log that `Records` needs."""
    context = trusting_context(trusted)
    context.keylog_filename = str(key_log)
    return context
