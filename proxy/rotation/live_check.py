"""Checks a certificate as a client does: its files, and handshakes with the running proxy."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from certs.identities.chain import extension_of
from certs.issuing.trust import NoTrustStore, Trust, system_trust
from certs.keys.signing_key import algorithm_of, supported_public_key
from certs.rotation.checks import Expectation, serving_findings
from config.values.addresses import Bind
from proxy.api.certificates import LiveRow, ShownRow
from proxy.rotation.pinned import (
    SECONDS,
    name_to_ask_for,
    offers_every_group,
    pem_of,
    said,
    serial_shown,
    takes_only_its_kind,
)
from proxy.tls.openssl.libssl import LibsslError
from proxy.trust.list_check import list_checks
from proxy.trust.timestamp_check import timestamp_checks


@dataclass(frozen=True, slots=True)
class LiveFinding:
    """The result of one check. If `is_fault` is None, it is a remark."""

    about: str
    text: str
    is_fault: bool | None = False

    def as_json(self) -> LiveRow:
        return {"about": self.about, "found": self.text, "ok": self.is_fault is not True}


@dataclass(frozen=True, slots=True)
class LiveSubject:
    """A chain to check, with its identity, its names and the roots that must have signed it.

    Without roots the roots of the system count. `replicas` are certificates of the same kind that
    may serve instead, perhaps of other issuers.
    """

    about: str
    chain: tuple[x509.Certificate, ...]
    names: tuple[str, ...]
    roots: tuple[x509.Certificate, ...]
    replicas: tuple[x509.Certificate, ...] = ()

    @property
    def serial(self) -> str:
        """In hexadecimal."""
        return f"{self.chain[0].serial_number:x}"


def chain_findings(subject: LiveSubject, now: datetime) -> Iterator[LiveFinding]:
    """Check the files: chain, names, dates, strength and usage."""
    leaf = subject.chain[0]
    try:
        trust = (
            Trust(subject.roots, "the roots that it is held against") if subject.roots else system_trust(subject.chain)
        )
    except NoTrustStore as error:
        trust = Trust((), str(error))
    expected = Expectation(leaf.public_key(), subject.names, trust.roots, place=trust.place)
    faults = serving_findings(subject.chain, expected, now)
    yield from (LiveFinding(subject.about, one, is_fault=True) for one in faults)
    key = supported_public_key(leaf.public_key())
    kind = "an unsupported key" if key is None else str(algorithm_of(key))
    yield LiveFinding(
        subject.about,
        f"{kind}, valid until {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, {len(subject.chain)} certificates",
    )
    usage = extension_of(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        yield LiveFinding(subject.about, "its key usage has no digitalSignature", is_fault=True)


def timestamp_findings(subject: LiveSubject, log_list: Path | None, now: datetime) -> Iterator[LiveFinding]:
    """Check the transparency of a certificate of a public CA by a list of logs."""
    for text, is_fault in () if subject.roots else timestamp_checks(subject.chain, log_list, now):
        yield LiveFinding(subject.about, text, is_fault=is_fault)


def list_findings(subject: LiveSubject, now: datetime) -> Iterator[LiveFinding]:
    """Fetch the revocation lists that the certificate names, and look for it there."""
    for one in list_checks(subject.chain, now):
        yield LiveFinding(subject.about, one.text, is_fault=one.is_fault)


def handshake_finding(subject: LiveSubject, address: Bind) -> LiveFinding:
    """Check by a handshake that the chain is valid, and that it is the one that should serve."""
    about = f"{subject.about} at {address}"
    try:
        served = _served(_context(subject), subject.names, address)
    except (OSError, LibsslError) as error:  # also ssl.SSLError
        return LiveFinding(about, f"the handshake failed: {said(error)}", is_fault=True)
    if served in {f"{one.serial_number:x}" for one in subject.replicas}:
        return LiveFinding(about, f"another replica signs now, serial {served}", is_fault=None)
    if served != subject.serial:
        return LiveFinding(about, f"serial {served} is shown, and {subject.serial} is what should serve", is_fault=True)
    return LiveFinding(about, f"verified, serial {served}")


def worker_findings(subject: LiveSubject, rows: Sequence[ShownRow]) -> Iterator[LiveFinding]:
    """The findings about each worker, from the rows of `supervisor.control.inspection`."""
    ours = [row for row in rows if row["serial"] == subject.serial]
    if not ours:
        text = "the proxy serves by another certificate: does it have to reload?"
        yield LiveFinding(subject.about, text, is_fault=True)
    for row in ours:
        about = f"{subject.about} in worker {row['worker']} on {row['listener']}"
        if row["untried"]:
            yield LiveFinding(about, f"not seen from here: {row['untried']}", is_fault=None)
        elif row["fault"] is None:
            yield LiveFinding(about, f"shown, serial {subject.serial}")
        else:
            yield LiveFinding(about, f"the handshake failed: {row['fault']}", is_fault=True)


def _context(subject: LiveSubject) -> ssl.SSLContext:
    """A client that trusts only the roots and the replicas, and accepts only this kind of key."""
    context = ssl.create_default_context(cadata=pem_of(subject.roots))
    if subject.replicas:
        context.load_verify_locations(cadata=pem_of(subject.replicas))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    offers_every_group(context)
    takes_only_its_kind(context, subject.chain[0])
    return context


def _served(context: ssl.SSLContext, names: Sequence[str], address: Bind) -> str:
    host = str(address.host)
    if address.host.is_unspecified:
        host = "::1" if address.host.version == 6 else "127.0.0.1"
    with (
        socket.create_connection((host, address.port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name_to_ask_for(names)) as tls,
    ):
        return serial_shown(tls)
