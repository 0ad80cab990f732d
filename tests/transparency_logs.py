"""Logs of certificates with keys of their own, and certificates with their timestamps."""

import base64
import itertools
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ObjectIdentifier

from tests.certs.authority import DAY, NOW, PrivateKey, private_key

_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_MILLISECOND = timedelta(milliseconds=1)
_ROOT = bytes(32)
_numbers = itertools.count(900_000)


@dataclass(frozen=True)
class SigningLog:
    """A log that signs whatever it is given."""

    name: str
    operator: str
    state: str = "usable"
    since: datetime = NOW - 300 * DAY
    kind: str = "ecdsa-p256"
    former: tuple[tuple[str, datetime], ...] = ()
    """Operators before, and until when they were."""
    key: PrivateKey = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", private_key(self.kind, next(_numbers)))

    @property
    def public(self) -> bytes:
        """Its key in DER."""
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def row(self) -> dict[str, Any]:
        """Itself in a list of logs."""
        state = {self.state: {"timestamp": self.since.isoformat().replace("+00:00", "Z")}}
        former = [{"name": name, "end_time": end.isoformat()} for name, end in self.former]
        key = base64.b64encode(self.public).decode()
        row = {"description": self.name, "key": key, "state": state, "url": f"https://{self.name}.test/"}
        return {**row, "previous_operators": former} if former else row

    def timestamp(self, tbs: bytes, issuer: x509.Certificate, at: datetime, extensions: bytes = b"") -> bytes:
        """A timestamp for a certificate without timestamps (RFC 6962 section 3.2)."""
        spki = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        moment = _moment(at)
        signed = b"\0\0" + moment + b"\0\1" + sha256(spki).digest() + vector(3, tbs) + vector(2, extensions)
        return b"\0" + sha256(self.public).digest() + moment + vector(2, extensions) + self._signed(signed)

    def tree_head(self, size: int, at: datetime) -> bytes:
        """An answer to `get-sth` (RFC 6962 section 4.3)."""
        return json.dumps(
            {
                "tree_size": size,
                "timestamp": int.from_bytes(_moment(at), "big"),
                "sha256_root_hash": base64.b64encode(_ROOT).decode(),
                "tree_head_signature": base64.b64encode(self._signed_head(size, at)).decode(),
            }
        ).encode()

    def checkpoint(self, size: int, at: datetime) -> bytes:
        """The same as text (https://c2sp.org/static-ct-api)."""
        origin = f"{self.name}.test".encode()
        key_id = sha256(origin + b"\n\5" + sha256(self.public).digest()).digest()[:4]
        signature = base64.b64encode(key_id + _moment(at) + self._signed_head(size, at))
        return b"%s\n%d\n%s\n\n\xe2\x80\x94 %s %s\n" % (origin, size, base64.b64encode(_ROOT), origin, signature)

    def _signed_head(self, size: int, at: datetime) -> bytes:
        return self._signed(b"\0\1" + _moment(at) + size.to_bytes(8, "big") + _ROOT)

    def _signed(self, content: bytes) -> bytes:
        """A signature as TLS has it (RFC 5246 section 4.7)."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return b"\4\1" + vector(2, self.key.sign(content, padding.PKCS1v15(), hashes.SHA256()))
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        return b"\4\3" + vector(2, self.key.sign(content, ec.ECDSA(hashes.SHA256())))


def _moment(at: datetime) -> bytes:
    return ((at - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND).to_bytes(8, "big")


def vector(size: int, content: bytes) -> bytes:
    """A vector of TLS, with a length of so many bytes."""
    return len(content).to_bytes(size, "big") + content


def log_list(*logs: SigningLog, made_at: datetime = NOW - DAY) -> bytes:
    """A list as Chrome publishes it."""
    operators: dict[str, list[dict[str, Any]]] = {}
    for log in logs:
        operators.setdefault(log.operator, []).append(log.row())
    rows = [{"name": name, "logs": found[:1], "tiled_logs": found[1:]} for name, found in operators.items()]
    return json.dumps({"version": "1.0", "log_list_timestamp": made_at.isoformat(), "operators": rows}).encode()


def logged(
    logs: Mapping[SigningLog, datetime] | Sequence[SigningLog],
    name: str = "chat.test",
    days: int = 90,
    begins: datetime = NOW - DAY,
    *,
    damaged: bool = False,
    extensions: Sequence[x509.ExtensionType] = (),
) -> list[x509.Certificate]:
    """A chain whose leaf has a timestamp of each log; `name` may be several, with spaces between."""
    ca = ec.generate_private_key(ec.SECP256R1())
    issuer = _builder("CA", "CA", ca, begins, 3_650).sign(ca, hashes.SHA256())
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(one) for one in name.split()])
    builder = _builder(name.split()[0], "CA", key, begins, days).add_extension(names, critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    tbs = builder.sign(ca, hashes.SHA256()).tbs_certificate_bytes
    at = dict.fromkeys(logs, begins) if not isinstance(logs, Mapping) else logs
    if damaged:
        builder = builder.add_extension(x509.UnrecognizedExtension(_LIST, b"\4\1x"), critical=False)
    elif at:
        content = vector(2, b"".join(vector(2, log.timestamp(tbs, issuer, moment)) for log, moment in at.items()))
        builder = builder.add_extension(x509.UnrecognizedExtension(_LIST, _octets(content)), critical=False)
    return [builder.sign(ca, hashes.SHA256()), issuer]


def _octets(content: bytes) -> bytes:
    size = len(content)
    short = bytes((size,)) if size < 128 else b"\x81" + bytes((size % 256,))
    return b"\4" + (short if size < 256 else b"\x82" + size.to_bytes(2, "big")) + content


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, begins: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
    )


def entries_answer(certificates: Sequence[bytes], precertificates: Container[int] = ()) -> bytes:
    """An answer to `get-entries`; `precertificates` are the places of those (RFC 6962 section 4.6)."""
    rows = []
    for place, der in enumerate(certificates):
        is_pre = place in precertificates
        leaf = b"\0\0" + _entry(der, is_pre=is_pre)
        extra = (vector(3, der) if is_pre else b"") + vector(3, vector(3, b"issuer"))
        rows.append({"leaf_input": base64.b64encode(leaf).decode(), "extra_data": base64.b64encode(extra).decode()})
    return json.dumps({"entries": rows}).encode()


def tile(certificates: Sequence[bytes], precertificates: Container[int] = ()) -> bytes:
    """A tile of the static API."""
    return b"".join(
        _entry(der, is_pre=place in precertificates)
        + (vector(3, der) if place in precertificates else b"")
        + vector(2, bytes(32))
        for place, der in enumerate(certificates)
    )


def _entry(der: bytes, *, is_pre: bool) -> bytes:
    content = b"\0\1" + bytes(32) + vector(3, b"to be signed") if is_pre else b"\0\0" + vector(3, der)
    return bytes(8) + content + vector(2, b"")
