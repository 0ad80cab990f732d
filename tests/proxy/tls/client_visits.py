"""Handshakes in which a client shows a certificate, between two objects in memory."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from certs.identities.client_authorities import ClientAuthorities
from certs.identities.revocation_list import by_scope
from config.schema import CredentialPreference, HttpProtocol
from proxy.tls.handshake.server_step import ServerStep, server_step
from proxy.tls.openssl import libssl
from proxy.tls.openssl.client_trust import ClientTrust, Demand
from proxy.tls.openssl.context import ServerContext, TlsSettings, build_server_context
from proxy.tls.openssl.driver import TlsDriver, new_driver
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.wire.client_hello import parse_client_hello
from proxy.tls.wire.signature_schemes import sigalgs_list
from tests.certificates import Authority, CertificateFiles
from tests.client_authorities import ClientAuthority, ClientFiles
from tests.proxy.tls import hellos

SECRETS = TicketSecrets(b"1" * 32)
SUITES = "TLS_AES_256_GCM_SHA384"


@dataclass(frozen=True)
class Stated:
    """What a `ClientTrust` is made of."""

    certificates_pem: bytes
    lists_pem: bytes = b""
    currency: tuple[datetime, datetime] | None = None
    is_lenient: bool = False


def trust(
    *authorities: ClientAuthority,
    lists: Sequence[bytes] | None = None,
    is_required: bool = True,
    is_bound: bool = False,
    is_lenient: bool = False,
) -> ClientTrust:
    """Trust these authorities."""
    certificates = tuple(one.certificate for one in authorities)
    loaded = tuple(x509.load_pem_x509_crl(one) for one in lists or ())
    stated = ClientAuthorities(certificates, by_scope(loaded, certificates), lists is not None, is_lenient)
    return ClientTrust(stated, Demand(is_required, is_bound))


def server(
    files: CertificateFiles, clients: ClientTrust | None, identity: str = "chat", secrets: TicketSecrets = SECRETS
) -> ServerContext:
    """The contexts of an identity."""

    @dataclass(frozen=True)
    class Shown:
        certificate_path: Path
        key_pem_path: Path

    settings = TlsSettings("X25519MLKEM768:X25519", SUITES, (HttpProtocol.HTTP_1,), clients)
    shown = Shown(files.certificate, files.key)
    return build_server_context(identity, [shown], sigalgs_list(CredentialPreference.CLASSICAL), settings, secrets)


def client(authority: Authority, files: ClientFiles | None = None, groups: str = "X25519") -> ssl.SSLContext:
    """A client that verifies the server."""
    context = authority.client_context()
    libssl.set_groups(context, groups)
    if files is not None:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # it shows whatever it has
        context.load_cert_chain(files.certificate, files.key)
    return context


@dataclass(frozen=True)
class Visit:
    """How a handshake ended: the last step of the server, and the client's side."""

    client: hellos.Peer
    last: ServerStep
    error: ssl.SSLError | None
    """What the client was told after it believed to be finished."""
    driver: TlsDriver

    def session(self, tickets: int = 1) -> ssl.SSLSession:
        """Give the client a ticket, and take its session."""
        self.client.incoming.write(self.driver.encrypt(self.last.tls, b"x", tickets))
        assert self.client.tls.read() == b"x"
        session = self.client.tls.session
        assert session is not None
        return session


def visit(context: ServerContext, by: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Visit:
    """One connection, by the steps of the product."""
    peer, driver = hellos.peer(by, session), new_driver()
    hello = peer.answer(b"")
    tls = driver.server_side(context.select(parse_client_hello(hello[5:]).psk_identities))
    made, error = server_step(tls, driver, hello), None
    while made.error is None and not made.is_finished and made.output:
        made = server_step(tls, driver, peer.answer(made.output))
    try:
        peer.answer(made.output)
    except ssl.SSLError as told:
        error = told
    return Visit(peer, made, error, driver)
