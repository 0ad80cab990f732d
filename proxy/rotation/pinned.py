"""A client that accepts only the certificates that should serve: one, or those of all replicas."""

import contextlib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.keys.signing_key import KeyFamily, algorithm_of, supported_public_key
from config.schema import CredentialPreference
from proxy.tls.openssl.libssl import LibsslError, set_groups, set_signature_algorithms
from proxy.tls.wire.groups import KNOWN
from proxy.tls.wire.signature_schemes import sigalgs_list

SECONDS: Final = 5.0
"""The limit for one handshake."""

_SCHEMES: Final = {
    KeyFamily.ECDSA: "ecdsa",
    KeyFamily.ED25519: "ed25519",
    KeyFamily.MLDSA: "mldsa",
    KeyFamily.RSA: "rsa",
}


_FIRST_GROUP: Final = "X25519MLKEM768"
_EVERY_GROUP: Final = ":".join(
    f"?{name}" for name in dict.fromkeys([_FIRST_GROUP, *(one.name for one in KNOWN.values())])
)
"""`?`: where OpenSSL has it (SSL_CTX_set1_groups_list(3))."""


def offers_every_group(context: ssl.SSLContext) -> None:
    """Let a client share a group with every listener.

    OpenSSL's own list lacks the groups of the level quantum-safe. The first group has the key
    share. A listener that wants another one asks for it by a HelloRetryRequest.
    """
    with contextlib.suppress(LibsslError):  # OpenSSL before 3.5 does not know the syntax
        set_groups(context, _EVERY_GROUP)


def takes_only_its_kind(context: ssl.SSLContext, leaf: x509.Certificate) -> None:
    """Let a client accept only signatures of this kind of key.

    If an identity has several credentials, the server then shows this one. OpenSSL does not apply
    the list to the chain. Raises `LibsslError`.
    """
    key = supported_public_key(leaf.public_key())
    if key is not None:
        prefix = _SCHEMES[algorithm_of(key).family]
        schemes = [one for one in sigalgs_list(CredentialPreference.CLASSICAL).split(":") if one.startswith(prefix)]
        set_signature_algorithms(context, ":".join(schemes))


def pem_of(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def pinned_context(leaves: Sequence[x509.Certificate]) -> ssl.SSLContext:
    """A client that trusts these certificates of one kind, without their issuers.

    Raises `LibsslError`.
    """
    context = ssl.create_default_context(cadata=pem_of(leaves))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # this would judge its issuers
    offers_every_group(context)
    takes_only_its_kind(context, leaves[0])
    return context


def name_to_ask_for(names: Sequence[str]) -> str:
    """A name that a client may ask for.

    A DNS name is preferred, because a client sends no server name for an address.
    """
    dns = [name for name in names if any(letter.isalpha() for letter in name) and ":" not in name]
    return (dns or list(names))[0].replace("*", "check", 1)


@dataclass(frozen=True, slots=True)
class ShownChain:
    """The certificate that a server shows, by its serial number in hexadecimal, or the `fault` why
    it shows none that should serve.
    """

    serial: str = ""
    fault: str | None = None


def shown_over(client: socket.socket, leaves: Sequence[x509.Certificate], names: Sequence[str]) -> ShownChain:
    """Shake hands over a connection with a client that accepts `leaves`, and close it. Blocks.

    Raises `LibsslError`.
    """
    with client:
        try:
            client.settimeout(SECONDS)
            with pinned_context(leaves).wrap_socket(client, server_hostname=name_to_ask_for(names)) as tls:
                return ShownChain(serial_shown(tls))
        except OSError as error:  # also ssl.SSLError
            return ShownChain(fault=said(error))


def serial_shown(tls: ssl.SSLSocket) -> str:
    """The serial number of the certificate that a server was verified by, in hexadecimal."""
    der = tls.getpeercert(binary_form=True)
    assert der is not None  # it was verified
    return f"{x509.load_der_x509_certificate(der).serial_number:x}"


def said(error: Exception) -> str:
    """The error of a handshake in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return getattr(error, "strerror", None) or str(error)
