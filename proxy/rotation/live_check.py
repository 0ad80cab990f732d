"""Look at a certificate as a client does: its files, and the handshake of the running proxy, in every worker."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.keys.signing_key import KeyFamily, algorithm_of, supported_public_key
from certs.rotation.checks import Expectation, findings
from config.addresses import Bind
from config.schema import CredentialPreference
from proxy.tls.libssl import LibsslError, set_signature_algorithms
from proxy.tls.signature_schemes import sigalgs_list

_SECONDS: Final = 5.0
HANDSHAKES_PER_WORKER: Final = 8
"""The kernel chooses a worker for each connection: after so many for each of two workers, one in 65,536 runs has missed one."""

_SCHEMES: Final = {
    KeyFamily.ECDSA: "ecdsa",
    KeyFamily.ED25519: "ed25519",
    KeyFamily.MLDSA: "mldsa",
    KeyFamily.RSA: "rsa",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `is_fault` None is a remark."""

    about: str
    text: str
    is_fault: bool | None = False

    def as_json(self) -> dict[str, Any]:
        """As a document."""
        return {"about": self.about, "found": self.text, "ok": self.is_fault is not True}


@dataclass(frozen=True, slots=True)
class Subject:
    """A chain to look at: of which identity, for which names, by whom it has to be signed (none: whom the system trusts)."""

    about: str
    chain: tuple[x509.Certificate, ...]
    names: tuple[str, ...]
    roots: tuple[x509.Certificate, ...]


def chain_findings(subject: Subject, now: datetime) -> Iterator[Finding]:
    """What the files say: chain, names, dates, strength, usage, and transparency where it is public."""
    leaf = subject.chain[0]
    faults = findings(subject.chain, Expectation(leaf.public_key(), subject.names, subject.roots), now)
    # a certificate in the last third of its life is as valid as on its first day
    faults = [one for one in faults if not one.startswith("more than half")]
    yield from (Finding(subject.about, one, is_fault=True) for one in faults)
    key = supported_public_key(leaf.public_key())
    kind = "an unsupported key" if key is None else str(algorithm_of(key))
    yield Finding(
        subject.about,
        f"{kind}, valid until {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, {len(subject.chain)} certificates",
    )
    if not _may_sign_handshakes(leaf):
        yield Finding(subject.about, "its key usage has no digitalSignature", is_fault=True)
    if not subject.roots and not _has_timestamps(leaf):
        yield Finding(
            subject.about,
            "no signed certificate timestamps: browsers refuse public certificates without",
            is_fault=None,
        )


def handshake_findings(subject: Subject, address: Bind, count: int) -> Iterator[Finding]:
    """What so many handshakes at an address say: that the certificate is verified, and is the same one each time."""
    about = f"{subject.about} at {address}"
    try:
        context = _context(subject)
        served = [_served(context, subject.names, address) for _ in range(count)]
    except (OSError, LibsslError) as error:  # ssl.SSLError is one
        yield Finding(about, f"the handshake failed: {_said(error)}", is_fault=True)
        return
    expected = f"{subject.chain[0].serial_number:x}"
    serials = sorted(set(served))
    if serials == [expected]:
        yield Finding(about, f"{count} handshakes verified, all with serial {expected[:12]}")
    else:
        yield Finding(
            about, f"handshakes show serial {', '.join(serials)}, and {expected} is what should serve", is_fault=True
        )


def _context(subject: Subject) -> ssl.SSLContext:
    """A client that trusts the roots alone, and takes the kind of this key alone."""
    if subject.roots:
        pem = "".join(one.public_bytes(Encoding.PEM).decode() for one in subject.roots)
        context = ssl.create_default_context(cadata=pem)
    else:
        context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    key = supported_public_key(subject.chain[0].public_key())
    if key is not None:
        prefix = _SCHEMES[algorithm_of(key).family]
        schemes = [one for one in sigalgs_list(CredentialPreference.CLASSICAL).split(":") if one.startswith(prefix)]
        # of several credentials of an identity the server then shows this one; OpenSSL does not hold the chain against the list
        set_signature_algorithms(context, ":".join(schemes))
    return context


def _served(context: ssl.SSLContext, names: Sequence[str], address: Bind) -> str:
    host = str(address.host)
    if address.host.is_unspecified:
        host = "::1" if address.host.version == 6 else "127.0.0.1"
    with (
        socket.create_connection((host, address.port), timeout=_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=_asked_for(names)) as tls,
    ):
        der = tls.getpeercert(binary_form=True)
        assert der is not None  # it was verified
        return f"{x509.load_der_x509_certificate(der).serial_number:x}"


def _asked_for(names: Sequence[str]) -> str:
    """A name that a client may ask for: a DNS name rather than an address, which has no server name in the hello."""
    dns = [name for name in names if any(letter.isalpha() for letter in name) and ":" not in name]
    return (dns or list(names))[0].replace("*", "check", 1)


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return getattr(error, "strerror", None) or str(error)


def _may_sign_handshakes(leaf: x509.Certificate) -> bool:
    try:
        return leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        return True


def _has_timestamps(leaf: x509.Certificate) -> bool:
    try:
        leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
    except x509.ExtensionNotFound:
        return False
    return True
