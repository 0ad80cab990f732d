"""The doctor's TLS stack: pyOpenSSL, on the OpenSSL in the wheel of `cryptography`.

It is the only module that imports pyOpenSSL. pyOpenSSL cannot set the list of groups and that of
signature schemes: for these two it takes the functions of the wheel's binding, which pyOpenSSL
itself stands on. Handshakes run over memory BIOs, so that every record is ours to see and to cut.
"""

from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

from proxy.doctor.handshakes.offers import HelloOffer, Versions

_LARGEST_READ: Final = 65_536
_ALERT_NUMBER: Final = 0xFF
"""The callback gets an alert's level and description in one number."""
_TICKET_READ: Final = b"SSLv3/TLS read server session ticket"
"""The state in which a ticket has been read (SSL_state_string_long(3)); pyOpenSSL has no callback
for new sessions.
"""


class OfferImpossible(Exception):
    """The doctor's TLS stack lacks what an offer asks for. `what` names it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"the doctor's own TLS ({version()}) has no {self.what}"


class StackRefused(Exception):
    """The stack refuses what the server sent, or got an alert. `reason` is OpenSSL's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def version() -> str:
    """The OpenSSL of the doctor, which is not the proxy's."""
    return SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()


def has_group(name: str) -> bool:
    """Whether the stack can offer a key exchange group."""
    return bool(_of_binding("SSL_CTX_set1_curves_list", SSL.Context(SSL.TLS_CLIENT_METHOD), name))


class TlsClient:
    """Makes connections that offer the same, and so can resume each other's sessions.

    Raises `OfferImpossible`. The certificate of the server is not verified here: who looks at the
    chain judges it.
    """

    def __init__(self, offer: HelloOffer) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if offer.versions is Versions.ONLY_TLS_1_2:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
        else:
            context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_verify(SSL.VERIFY_NONE, _takes_all)
        _set(context, "SSL_CTX_set1_curves_list", offer.groups_list, "group of " + " and ".join(offer.groups))
        if offer.signature_schemes:
            names = ":".join(offer.signature_schemes)
            _set(context, "SSL_CTX_set1_sigalgs_list", names, "signature scheme of " + names)
        if offer.alpn:
            context.set_alpn_protos([name.encode("ascii") for name in offer.alpn])
        context.set_info_callback(self._note)
        self.offer: Final = offer
        self._context: Final = context
        self._heard: dict[SSL.Connection, _Heard] = {}

    def begin(self, session: "Session | None" = None) -> "ClientHandshake":
        """Begin a handshake; with a session of this client, offer to resume it."""
        connection = SSL.Connection(self._context, None)
        connection.set_connect_state()
        if self.offer.server_name is not None:
            connection.set_tlsext_host_name(self.offer.server_name.encode("ascii"))
        if session is not None:
            connection.set_session(session)
        heard = self._heard[connection] = _Heard()
        return ClientHandshake(connection, heard)

    def _note(self, connection: SSL.Connection, where: int, number: int) -> None:
        heard = self._heard.get(connection)
        if heard is None:
            return
        if where == SSL.SSL_CB_READ_ALERT:
            heard.alert = number & _ALERT_NUMBER
        elif where == SSL.SSL_CB_CONNECT_LOOP and connection.get_state_string() == _TICKET_READ:
            heard.has_ticket = True


@dataclass(slots=True)
class _Heard:
    """What the callback of a context has reported about one connection."""

    alert: int | None = None
    has_ticket: bool = False


Session = SSL.Session
"""What a ticket resumes."""


class ClientHandshake:
    """The client's side of one connection: bytes of the server in, bytes for it out."""

    def __init__(self, connection: SSL.Connection, heard: _Heard) -> None:
        self._connection: Final = connection
        self._heard: Final = heard

    def step(self) -> bool:
        """Go on as far as the bytes allow; whether our side has finished. Raises `StackRefused`."""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise StackRefused(_reason(error)) from None
        return True

    def receive(self, data: bytes) -> None:
        self._connection.bio_write(data)

    def to_send(self) -> bytes:
        """What goes to the server now, possibly nothing."""
        parts = []
        while True:
            try:
                parts.append(self._connection.bio_read(_LARGEST_READ))
            except SSL.WantReadError:
                return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Encrypt data; `to_send` has it then."""
        self._connection.sendall(data)

    def read(self) -> bytes | None:
        """The data that has arrived: empty if there is none yet, None if the server has closed its
        side. Takes tickets, too. Raises `StackRefused`.
        """
        try:
            return self._connection.recv(_LARGEST_READ)
        except SSL.WantReadError:
            return b""
        except SSL.ZeroReturnError:
            return None
        except SSL.Error as error:
            raise StackRefused(_reason(error)) from None

    def close(self) -> None:
        """Write our close_notify; `to_send` has it then."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            return

    @property
    def alert(self) -> int | None:
        """The number of the alert that the server sent, encrypted or not."""
        return self._heard.alert

    @property
    def has_ticket(self) -> bool:
        return self._heard.has_ticket

    @property
    def group(self) -> str:
        return self._connection.get_group_name() or ""

    @property
    def version(self) -> str:
        return self._connection.get_protocol_version_name()

    @property
    def protocol(self) -> str:
        """What ALPN settled; empty without it."""
        return self._connection.get_alpn_proto_negotiated().decode("ascii", "replace")

    @property
    def session(self) -> Session | None:
        """What the latest ticket resumes."""
        return self._connection.get_session()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return tuple(self._connection.get_peer_cert_chain(as_cryptography=True) or ())


def _takes_all(*_: object) -> bool:
    return True


def _set(context: SSL.Context, function: str, value: str, what: str) -> None:
    if not _of_binding(function, context, value):
        raise OfferImpossible(what)


def _of_binding(function: str, context: SSL.Context, value: str) -> bool:
    """Call a function that pyOpenSSL does not offer; False also where the wheel lacks it."""
    lib: Any = Binding.lib
    called = getattr(lib, function, None)
    if called is None:
        return False
    is_set: bool = called(context._context, value.encode("ascii")) == 1  # noqa: SLF001 - there is no other way
    if not is_set:
        lib.ERR_clear_error()
    return is_set


def _reason(error: SSL.Error) -> str:
    """OpenSSL's words for what went wrong; empty where the stream only ended."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else error.args
    return "; ".join(str(one[-1]) if isinstance(one, tuple) else str(one) for one in queue)
