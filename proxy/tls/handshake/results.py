"""How a handshake ended: with a connection and its parameters, or without one and why. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from config.schema import HttpProtocol
from proxy.tls.handshake.group_choice import HandshakeOutcome
from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.wire.alerts import AlertDescription
from proxy.tls.wire.client_certificate import ClientCertificate
from proxy.tls.wire.client_hello import ClientHello
from proxy.tls.wire.groups import NamedGroup

if TYPE_CHECKING:
    from proxy.net.sockets import SocketStream
    from proxy.tls.openssl.stream import TlsStream


class FailureReason(StrEnum):
    """Why a handshake ended without a connection; the detail stands beside it."""

    PROXY_HEADER = "proxy_header"
    """A connection of a balancer does not begin with a valid PROXY header."""
    NOT_TLS = "not_tls"
    OLD_VERSION = "old_version"
    MALFORMED_HELLO = "malformed_hello"
    UNRECOGNIZED_NAME = "unrecognized_name"
    NO_APPLICATION_PROTOCOL = "no_application_protocol"
    POLICY = "pq_policy"
    NO_COMMON_GROUP = "no_common_group"
    """The client offers no group of the listener's level: no policy allows a key exchange."""
    NO_COMMON_SUITE = "no_common_cipher_suite"
    NO_COMMON_SIGNATURE = "no_common_signature_algorithm"
    """The client takes no signature of a key that the identity has."""
    CLIENT_CERTIFICATE_MISSING = "client_certificate_missing"
    CLIENT_CERTIFICATE_UNTRUSTED = "client_certificate_untrusted"
    """It is of an authority that the identity does not trust."""
    CLIENT_CERTIFICATE_EXPIRED = "client_certificate_expired"
    """It, or one above it, is not valid now."""
    CLIENT_CERTIFICATE_REVOKED = "client_certificate_revoked"
    CLIENT_CERTIFICATE_REFUSED = "client_certificate_refused"
    """It is forged, for another purpose, or too weak."""
    CLIENT_REVOCATIONS_UNKNOWN = "client_revocations_unknown"
    """There is no current list of what its authority has revoked."""
    TLS_ERROR = "tls_error"
    QUIC_ERROR = "quic_error"
    """The client broke a rule of QUIC before its handshake was over."""
    HANDSHAKES_PER_ADDRESS = "handshakes_per_address"
    """As many handshakes of this client are in flight as the limit allows."""
    SLOW_GROUPS = "slow_groups_rate"
    """Key exchanges that are too slow for an event loop come faster than this client may ask for
    them, or than they can be made. The client offers no other group.
    """
    TIMEOUT = "timeout"
    CLIENT_LEFT = "client_left"
    SIGNING_UNAVAILABLE = "signing_unavailable"
    """The breakers of all tokens are open, or the attempts of all have failed."""
    SIGNING_BUSY = "signing_busy"
    """The queue of the token is full, or would come to this client too late."""
    SIGNING_TIMEOUT = "signing_timeout"
    """The time was over before a signature came."""


class ConnectionRefusal(NamedTuple):
    """Why a client gets no connection."""

    reason: FailureReason
    alert: AlertDescription
    detail: str


_TURNED_AWAY: Final = frozenset(
    {
        FailureReason.POLICY,
        FailureReason.NO_COMMON_GROUP,
        FailureReason.NO_COMMON_SUITE,
        FailureReason.NO_COMMON_SIGNATURE,
    }
)
# The codes of `ssl.SSLError` for a client that did nothing wrong and only offers too little.
_REFUSALS: Final = {
    "NO_SHARED_CIPHER": FailureReason.NO_COMMON_SUITE,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": FailureReason.NO_COMMON_SIGNATURE,
}

# RFC 8446 appendix B.4: those that a listener offers.
_CIPHER_SUITES: Final = {
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
}


def openssl_code(error: OSError) -> str | None:
    """OpenSSL's name of an `ssl.SSLError`, if it has one.

    Compiled code would refuse a None in `error.reason`, which typeshed declares to be a str; an
    error that Python made has no such attribute.
    """
    code: str | None = getattr(error, "reason", None)
    return code


def openssl_reason(code: str | None) -> FailureReason:
    """The reason that an error of OpenSSL in a handshake is counted under."""
    return _REFUSALS.get(code or "", FailureReason.TLS_ERROR)


@dataclass(slots=True, init=False)
class Established:
    """What a finished handshake settled."""

    server_name: str | None
    identity: ServerIdentity
    group: NamedGroup | None
    outcome: HandshakeOutcome
    is_resumed: bool
    signing_seconds: float | None
    """How long the step took that signs and computes the key exchange; None without one."""
    breaks_under_require: bool
    """Whether the policy `require` would have refused this client."""
    protocol: str
    """What the client speaks: ALPN settles it. A version of HTTP is an `HttpProtocol`."""
    client: ClientCertificate | None
    """How the client has proved who it is; None if it showed no certificate."""
    cipher_suite: int
    """Its code point (RFC 8446 appendix B.4)."""

    # written out: the interpreter runs that of a dataclass and that of a NamedTuple
    def __init__(  # noqa: PLR0913 - its fields
        self,
        server_name: str | None,
        identity: ServerIdentity,
        group: NamedGroup | None,
        outcome: HandshakeOutcome,
        *,
        is_resumed: bool,
        signing_seconds: float | None = None,
        breaks_under_require: bool = False,
        protocol: str = HttpProtocol.HTTP_1,
        client: ClientCertificate | None = None,
        cipher_suite: int = 0,
    ) -> None:
        self.server_name = server_name
        self.identity = identity
        self.group = group
        self.outcome = outcome
        self.is_resumed = is_resumed
        self.signing_seconds = signing_seconds
        self.breaks_under_require = breaks_under_require
        self.protocol = protocol
        self.client = client
        self.cipher_suite = cipher_suite

    @property
    def cipher_name(self) -> str:
        """The cipher suite by its name at IANA, which is OpenSSL's as well; empty if unknown."""
        return _CIPHER_SUITES.get(self.cipher_suite, "")

    @property
    def group_name(self) -> str:
        return "unknown" if self.group is None else self.group.name


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no connection."""

    reason: FailureReason
    detail: str
    server_name: str | None
    offered_groups: Sequence[int]
    identity: str | None
    alert: AlertDescription | None

    @classmethod
    def of(
        cls,
        hello: ClientHello | None,
        identity: ServerIdentity | None,
        reason: FailureReason,
        detail: str,
        alert: AlertDescription | None,
    ) -> "Failed":
        """With what is known of the client: its ClientHello, and the identity that it asked for."""
        return cls(
            reason,
            detail,
            None if hello is None else hello.server_name,
            () if hello is None else hello.supported_groups,
            None if identity is None else identity.name,
            alert,
        )

    @property
    def is_refusal(self) -> bool:
        """Whether the client was turned away for what it offers, and did nothing wrong."""
        return self.reason in _TURNED_AWAY


@dataclass(frozen=True, slots=True)
class UnopenedHello:
    """A ClientHello whose connection goes to a server as it is."""

    server_name: str
    upstream: str
    groups: Sequence[int]
    """The key exchange groups that the client offers, by code point."""
    wire: bytes
    """Everything that the client has sent so far."""


class HandshakeObserver(Protocol):
    """The object that waits for the result. One of the last four methods is called, once."""

    def hello_complete(self) -> bool:
        """The client has shown a whole ClientHello; whether its handshake may continue."""

    def slow_exchange_begins(self) -> bool:
        """The handshake needs a key exchange that is too slow for an event loop; whether its client
        may have one more now.
        """

    def token_asked(self) -> None:
        """The handshake may wait for a signature or a slow key exchange from now on."""

    def token_answered(self) -> None:
        """It is the client's turn again: our flight goes out."""

    def handshake_established(self, result: Established, stream: "TlsStream") -> None:
        """Set `stream.owner`: what the client sent already follows right after this call."""

    def handshake_failed(self, failure: Failed) -> None:
        """There will be no connection; the socket closes by itself."""

    def left_unopened(self, hello: UnopenedHello, stream: "SocketStream") -> None:
        """The client's TLS is not for us. Set `stream.owner`: the stream is reading."""

    def challenge_answered(self, server_name: str) -> None:
        """A CA saw what it asked for; the socket closes by itself."""
