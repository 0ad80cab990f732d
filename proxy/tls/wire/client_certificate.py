"""The certificate by which a client has proved who it is. Pure."""

from collections.abc import Sequence
from typing import Final

from cryptography import x509

# Enough for every name that a person reads; one of 30 KB fits a certificate.
_SUBJECT_CHARACTERS: Final = 256
_LENGTH_BYTES: Final = 3  # as in a TLS Certificate message (RFC 8446 section 4.4.2)


class UnusableCertificate(Exception):
    """A certificate that breaks rules which OpenSSL does not look at: of X.509, or of a level."""


class ClientCertificate:
    """A certificate that was verified, and the client has its key."""

    def __init__(self, leaf: bytes, chain: Sequence[bytes] = ()) -> None:
        """`leaf` is the client's, `chain` those between it and an authority that we have.

        Both are in DER. OpenSSL has verified them. Raises `UnusableCertificate`.
        """
        certificate = read_certificate(leaf)
        self.leaf: Final = leaf
        self.chain: Final = tuple(chain)
        self.subject: Final = subject_of(certificate)
        """Who the client is, for the log and for people."""
        every = [certificate, *map(read_certificate, self.chain)]
        self.ends_at: Final = min(one.not_valid_after_utc.timestamp() for one in every)
        """When the first of them expires, in UNIX seconds."""

    @property
    def packed_chain(self) -> bytes:
        """The chain as one string, for tickets: OpenSSL keeps only the leaf in them."""
        return b"".join(len(one).to_bytes(_LENGTH_BYTES, "big") + one for one in self.chain)


def unpacked_chain(data: bytes) -> list[bytes]:
    """The chain of `packed_chain`."""
    chain = []
    while data:
        end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
        chain.append(data[_LENGTH_BYTES:end])
        data = data[end:]
    return chain


def read_certificate(der: bytes) -> x509.Certificate:
    """Read a certificate that OpenSSL has read. Raises `UnusableCertificate`."""
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion) as error:
        raise UnusableCertificate(str(error)) from None


def subject_of(certificate: x509.Certificate) -> str:
    """The subject in the text of RFC 4514, bounded; the first other name where it is empty.

    A certificate may hold names that break the rules for their text. OpenSSL takes them.
    """
    try:
        text = certificate.subject.rfc4514_string() or _first_other_name(certificate)
    except ValueError:
        text = f"serial {certificate.serial_number:x}"
    return text if len(text) <= _SUBJECT_CHARACTERS else text[: _SUBJECT_CHARACTERS - 3] + "..."


def _first_other_name(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return f"serial {certificate.serial_number:x}"
    return next((str(name.value) for name in names), f"serial {certificate.serial_number:x}")
