"""Which certificates of clients an identity takes, and how its handshakes ask for them.

Theory of operation. Every context that serves the identity has the same settings (`demand`), also
those that sign in a token, and those with a throw-away certificate. OpenSSL verifies a client's
chain in the step that follows the client's last flight: the purpose, the dates, and each
certificate up to a root against the revocation lists. Those are in its store, and the store of a
lenient identity overlooks that a list is missing or has expired. OpenSSL sends the alert. Until
then the client has cost a handshake like any other. A chain is verified from the authority down, so
a forged one costs one signature. Its length and size are bounded here.

On a listener whose level binds signatures, OpenSSL asks for ML-DSA-87 and takes no other signature
of a client. How the certificates are signed is looked at here, when the handshake has finished.

A ticket carries the authentication. Its key is derived from the content of all that is demanded
(`fingerprint`), so a ticket of another identity, of other authorities or revocations, or of a time
without demand, leads to a full handshake (CVE-2025-23419). A ticket ends with the certificates and
with the revocation lists that it was made by. A resumed session gets no new ticket: a client proves
that it has its key at least once in the life of a ticket, two hours.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, Protocol

from certs.files.memory_file import MemoryFile
from certs.identities.chain import weaker_link
from proxy.tls.openssl import libssl_peers
from proxy.tls.openssl.tls_object import TlsObject, verified_chain
from proxy.tls.wire.client_certificate import ClientCertificate, UnusableCertificate, read_certificate, unpacked_chain
from proxy.tls.wire.signature_schemes import CLIENT_SCHEMES, CNSA_CLIENT_SCHEMES

# A leaf and three intermediates with ML-DSA-87 have 30 KB.
_MOST_INTERMEDIATES: Final = 3
_MOST_BYTES: Final = 32_768
# X509_V_FLAG_PARTIAL_CHAIN: `ssl` names it since Python 3.12
_PARTIAL_CHAIN: Final = ssl.VerifyFlags(0x80000)
_NEVER: Final = float("inf")


class Authorities(Protocol):
    """Who issues the certificates: a `ClientAuthorities`."""

    @property
    def certificates_pem(self) -> bytes: ...

    @property
    def lists_pem(self) -> bytes:
        """Their revocation lists; empty if revocation is not checked."""

    @property
    def currency(self) -> tuple[datetime, datetime] | None:
        """From when to when all of them have a current list; None if revocation is not checked."""

    @property
    def is_lenient(self) -> bool:
        """Whether clients are accepted whose authority has no current list."""


@dataclass(frozen=True, slots=True)
class Demand:
    """How certificates are asked for. `is_bound`: whether only ML-DSA-87 signs, in the handshake
    and in each certificate, as the level of the listener promises.
    """

    is_required: bool
    is_bound: bool = False


def fingerprint_of(authorities: Authorities, demand: Demand) -> str:
    """What tells two `ClientTrust` apart."""
    certificates = sha256(authorities.certificates_pem).digest()
    lists = sha256(authorities.lists_pem).digest()
    rules = bytes((demand.is_required, demand.is_bound, authorities.currency is not None, authorities.is_lenient))
    return sha256(rules + certificates + lists).hexdigest()


class ClientTrust:
    """What one identity demands of its clients. Two of the same content are equal."""

    def __init__(self, authorities: Authorities, demand: Demand) -> None:
        """Load what `authorities` has.

        Raises `ssl.SSLError` or `libssl.LibsslError` for files that OpenSSL does not take.
        """
        certificates = authorities.certificates_pem
        lists = authorities.lists_pem
        self.is_required: Final = demand.is_required
        self._is_bound: Final = demand.is_bound
        self.fingerprint: Final = fingerprint_of(authorities, demand)
        currency = authorities.currency
        self._until: Final = _NEVER if currency is None or authorities.is_lenient else currency[1].timestamp()
        self._authorities: Final = MemoryFile("client-authorities", certificates)
        self._verifying: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._verifying.load_verify_locations(self._authorities.path)
        if lists:
            file = MemoryFile("client-revocations", lists)
            self._verifying.load_verify_locations(file.path)
        if authorities.is_lenient:
            libssl_peers.accept_unknown_revocation(self._verifying)
        self._set(self._verifying, has_lists=currency is not None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientTrust) and other.fingerprint == self.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def demand(self, context: ssl.SSLContext) -> None:
        """Have a context ask for certificates, and verify them. Raises `libssl.LibsslError`."""
        libssl_peers.share_store(self._verifying, context)
        context.verify_flags = self._verifying.verify_flags
        self._set(context)

    def _set(self, context: ssl.SSLContext, *, has_lists: bool | None = None) -> None:
        if has_lists is not None:
            # Without lists each authority of the file is trusted by itself. With them OpenSSL wants
            # to look up each certificate, and looks for the issuer of an intermediate.
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN if has_lists else _PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_REQUIRED if self.is_required else ssl.CERT_OPTIONAL
        libssl_peers.ask_for_certificates(
            context, self._authorities.path, depth=_MOST_INTERMEDIATES, most_bytes=_MOST_BYTES
        )
        schemes = CNSA_CLIENT_SCHEMES if self._is_bound else CLIENT_SCHEMES
        libssl_peers.set_client_signature_algorithms(context, schemes)

    def shown(self, tls: TlsObject) -> ClientCertificate | None:
        """The certificate of a client whose handshake has finished; None if it showed none.

        Raises `UnusableCertificate`.
        """
        leaf = tls.getpeercert(True)  # noqa: FBT003 - of CPython: in DER
        if not isinstance(leaf, bytes):
            return None
        certificate = ClientCertificate(leaf, _chain(tls))
        weakness = self._weakness(certificate)
        if weakness is not None:
            raise UnusableCertificate(weakness)
        return certificate

    def _weakness(self, certificate: ClientCertificate) -> str | None:
        """OpenSSL does not hold the signatures of certificates against what was asked for."""
        if not self._is_bound:
            return None
        chain = [read_certificate(one) for one in (certificate.leaf, *certificate.chain)]
        link = weaker_link(chain)
        return None if link is None else f"{link}; the level of the listener takes mldsa-87 alone"

    def seal(self, tls: TlsObject, certificate: ClientCertificate) -> bool:
        """Put a certificate in the tickets of a connection; returns whether it may get any."""
        if tls.session_reused or not libssl_peers.limit_session(tls, min(certificate.ends_at, self._until)):
            return False
        libssl_peers.put_in_tickets(tls, certificate.packed_chain)
        return True

    def refusal_of(self, certificate: ClientCertificate | None) -> str | None:
        """Why a client with this certificate would be refused now; None if it would not."""
        if certificate is None:
            return "it showed no certificate" if self.is_required else None
        return self._weakness(certificate) or libssl_peers.verify(self._verifying, certificate.leaf, certificate.chain)


def _chain(tls: TlsObject) -> Sequence[bytes]:
    """What stands between a client's certificate and the authority, in DER."""
    if tls.session_reused:
        return unpacked_chain(libssl_peers.ticket_data(tls))
    return verified_chain(tls)[1:-1]
