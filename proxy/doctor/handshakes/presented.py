"""The certificate chain that a listener presents, judged as a client would. Pure."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from certs.identities.chain import alternative_names, order_errors, validity_errors
from config.addresses import is_covered
from proxy.doctor.finding import Finding, Judge
from proxy.doctor.handshakes.judgement import Subject

CHAIN: Final = "presented chain"

_NO_FILE: Final = Path("chain")  # the errors are those of files; a chain from the wire has none
_ANEW: Final = (
    "Put the right chain in the file of the identity: leaf first, then the issuer of each certificate, without the "
    "root. Then run plexigate reload, or plexigate certs rotate for a certificate that Plexigate issues."
)
_NAME: Final = "Add the name to the certificate, or take it out of names of the identity."
_INCOMPLETE: Final = (
    "Append the certificate of that issuer to the chain, if it is an intermediate one. If it is a root of your own, the "
    "clients need it: give it to them."
)
_SELF_SIGNED: Final = (
    "Browsers refuse it. Let an issuer (plexigate.toml: [issuer.NAME]) or your CA sign the certificate."
)


def chain(
    subject: Subject,
    certificates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    now: datetime,
    *,
    is_own: bool,
) -> Finding:
    """Judge the order, the validity, the names and the end of a chain.

    `roots` are those that clients can be expected to have. `is_own`: an internal authority of the
    configuration issues the identity's certificates, so its clients have the root.
    """
    judge, what = Judge(CHAIN), str(subject)
    if not certificates:
        return judge.failure(what, "no certificate was presented", _ANEW)
    leaf, last = certificates[0], certificates[-1]
    faults = [*order_errors(tuple(certificates), _NO_FILE), *validity_errors(tuple(certificates), _NO_FILE, now)]
    if faults:
        found = "; ".join(f"a chain {fault.found.removeprefix('which ')}" for fault in faults)
        return judge.failure(what, found, _ANEW)
    names = tuple(alternative_names(leaf))
    if not is_covered(subject.name, names):
        return judge.failure(what, f"the certificate is for {', '.join(names) or 'no name'}", _NAME)
    told = f"{len(certificates)} certificate{'s' if len(certificates) > 1 else ''}"
    told = f"{told}, valid until {_earliest_end(certificates):%Y-%m-%d %H:%M} UTC"
    if leaf.issuer == leaf.subject:
        return judge.warning(what, f"{told}; it is signed by itself", _SELF_SIGNED)
    end = last.issuer.rfc4514_string()
    if is_own or last.issuer == last.subject or any(root.subject == last.issuer for root in roots):
        return judge.ok(what, f"{told}, up to {end}")
    return judge.warning(what, f"{told}; no root of this system is {end}, which ends the chain", _INCOMPLETE)


def _earliest_end(certificates: Sequence[x509.Certificate]) -> datetime:
    return min(one.not_valid_after_utc for one in certificates)
