"""Server contexts: built once from credentials and policy, never changed afterwards.

The only user of `libssl` for them.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from config.schema import HttpProtocol
from proxy.tls.openssl import libssl
from proxy.tls.openssl.client_trust import ClientTrust
from proxy.tls.openssl.tickets import KEY_NAME_BYTES, TicketSecrets, ticket_key

# What we offer an upstream: hybrids first. The rest is for servers that know none of them; they are
# inside our own network.
UPSTREAM_GROUPS: Final = "X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024:X25519:secp256r1:secp384r1"
# Two, as browsers open a second connection at once and use each ticket a single time (RFC 8446
# appendix C.4).
TICKETS_PER_HANDSHAKE: Final = 2


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What a listener demands of every context on it, in OpenSSL's syntax, and what an identity
    demands of its clients.
    """

    groups: str
    cipher_suites: str
    protocols: tuple[str, ...]
    """What is offered by ALPN, the preferred one first. Nothing: no part in ALPN."""
    clients: ClientTrust | None = None
    """Whose certificates clients show; None if they are not asked for one."""
    all_groups: str = ""
    """The groups of the policy, where `groups` are only those that are not slow: a ticket of the
    one is good for the other."""

    is_quic: bool = False
    """Whether the contexts are for QUIC: no ticket is good for both transports."""

    @property
    def fingerprint(self) -> str:
        """What separates the tickets of one policy from those of another.

        The protocols do not: a resumption negotiates them again (RFC 8446 section 4.6.1).
        """
        policy = f"{self.all_groups or self.groups}|{self.cipher_suites}{'|quic' if self.is_quic else ''}"
        return policy if self.clients is None else f"{policy}|{self.clients.fingerprint}"


class ContextCredential(Protocol):
    """What a context needs to know of a credential."""

    @property
    def certificate_path(self) -> Path:
        """The PEM file of the chain, leaf first."""

    @property
    def key_pem_path(self) -> Path:
        """The PEM file by which OpenSSL finds the private key."""


@dataclass(frozen=True, slots=True)
class ServerContext:
    """The contexts of one identity under one policy.

    `current` seals new tickets; `previous` still opens older ones, and `following` those of a node
    of the fleet whose clock is ahead.
    """

    current: ssl.SSLContext
    previous: ssl.SSLContext | None = None
    previous_key_name: bytes = field(default=b"", repr=False)
    key_name: bytes = field(default=b"", repr=False)
    following: ssl.SSLContext | None = None
    following_key_name: bytes = field(default=b"", repr=False)

    def select(self, psk_identities: Sequence[bytes]) -> ssl.SSLContext:
        """Pick the context whose key sealed the first ticket of a ClientHello.

        The name of that key stands in the ticket, in the clear.
        """
        if psk_identities:
            name = psk_identities[0][:KEY_NAME_BYTES]
            if self.previous is not None and name == self.previous_key_name:
                return self.previous
            if self.following is not None and name == self.following_key_name:
                return self.following
        return self.current

    def tickets(self, context: ssl.SSLContext, *, is_resumed: bool) -> int:
        """How many tickets a client gets whose handshake `context` has made.

        One for a resumption: the client has used up one. None by the previous context, as it seals
        tickets by the key that opens them: they would all die at the next rotation.
        """
        if context is self.previous:
            return 0
        return 1 if is_resumed else TICKETS_PER_HANDSHAKE

    def opens(self, psk_identities: Sequence[bytes]) -> bool:
        """Whether a ticket of a ClientHello was sealed by one of our keys."""
        ours = (self.key_name, self.previous_key_name, self.following_key_name)
        return any(identity[:KEY_NAME_BYTES] in ours for identity in psk_identities)


def build_server_context(
    identity: str,
    credentials: Sequence[ContextCredential],
    signature_algorithms: str,
    settings: TlsSettings,
    tickets: TicketSecrets,
) -> ServerContext:
    """Build the contexts of `identity`.

    Raises `ssl.SSLError` or `OSError` for a credential that OpenSSL does not take,
    `libssl.LibsslError` for a setting.
    """

    def context(secret: bytes) -> tuple[ssl.SSLContext, bytes]:
        built = bare_context(settings)
        for credential in credentials:
            built.load_cert_chain(credential.certificate_path, credential.key_pem_path, _no_passphrase)
        libssl.set_signature_algorithms(built, signature_algorithms)
        key = ticket_key(secret, identity, settings.fingerprint)
        libssl.set_ticket_key(built, key)
        return built, key[:KEY_NAME_BYTES]

    current, current_name = context(tickets.current)
    none: tuple[ssl.SSLContext | None, bytes] = (None, b"")
    previous, previous_name = none if tickets.previous is None else context(tickets.previous)
    following, following_name = none if tickets.following is None else context(tickets.following)
    return ServerContext(current, previous, previous_name, current_name, following, following_name)


def bare_context(settings: TlsSettings) -> ssl.SSLContext:
    """A context with all demands, and without a certificate. Raises `libssl.LibsslError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Server preference comes with CPython's defaults; ChaCha20 first for a client that put it
    # first.
    context.options |= libssl.PRIORITIZE_CHACHA
    if settings.is_quic:
        context.options &= ~ssl.OP_ENABLE_MIDDLEBOX_COMPAT  # RFC 9001 section 8.4
    # of these OpenSSL takes the first that the client offers
    if settings.protocols:
        context.set_alpn_protocols([str(one) for one in settings.protocols])
    libssl.set_groups(context, settings.groups)
    libssl.set_ciphersuites(context, settings.cipher_suites)
    libssl.disable_session_cache(context)
    libssl.send_chain_as_loaded(context)
    if settings.clients is not None:
        settings.clients.demand(context)
    context.num_tickets = 0  # `stream.TlsStream` gives them out; OpenSSL would at the end of each handshake
    return context


def build_alert_context() -> ssl.SSLContext:
    """A context without a certificate, to ask OpenSSL for its alert to a malformed hello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """How we connect to an `https://` upstream: whom we trust, and how we prove who we are."""

    ca: Path | None
    certificate: Path | None
    key: Path | None
    groups: str
    protocols: tuple[str, ...] = (HttpProtocol.HTTP_1,)
    """What we offer by ALPN."""


def build_client_context(settings: UpstreamTls) -> ssl.SSLContext:
    """Build the context for upstream connections. Chain and name are always verified.

    Hybrids are offered first. Raises `ssl.SSLError` or `OSError` for files that OpenSSL does not
    take, `libssl.LibsslError` for the groups.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(settings.ca)
    if settings.certificate is not None:
        context.load_cert_chain(settings.certificate, settings.key, _no_passphrase)
    if settings.protocols:
        context.set_alpn_protocols([str(one) for one in settings.protocols])
    libssl.set_groups(context, settings.groups)
    return context


def _no_passphrase() -> str:
    """Answer OpenSSL instead of the terminal: loading an encrypted key fails and never waits."""
    return ""
