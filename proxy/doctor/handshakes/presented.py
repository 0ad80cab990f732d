"""The certificate chain that a listener presents for a name. Pure.

Whether clients trust its end is for `doctor.credentials.certificates` and
`doctor.credentials.served_chains` to say: once for each certificate, and not for each name.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from certs.identities.chain import alternative_names, order_errors, validity_errors
from config.values.addresses import is_covered
from proxy.doctor.finding import CLOCK_FIRST, Finding, Judge
from proxy.doctor.handshakes.judgement import Subject

CHAIN: Final = "presented chain"

_NO_FILE: Final = Path("chain")  # the errors are those of files; a chain from the wire has none
_ANEW: Final = (
    "Put the right chain in the file of the identity: leaf first, then the issuer of each certificate, without the "
    "root. Then run plexigate reload, or plexigate certs rotate for a certificate that Plexigate issues."
)
_NAME: Final = "Add the name to the certificate, or take it out of names of the identity."


def chain(subject: Subject, certificates: Sequence[x509.Certificate], now: datetime) -> Finding:
    """Judge its order, its validity, and whether it is for the name that was asked for."""
    judge = Judge(CHAIN)
    if not certificates:
        return judge.failure(subject, "no certificate was presented", _ANEW)
    leaf = certificates[0]
    last = certificates[-1]
    faults = [*order_errors(tuple(certificates), _NO_FILE), *validity_errors(tuple(certificates), _NO_FILE, now)]
    if faults:
        found = "; ".join(f"a chain {fault.found.removeprefix('which ')}" for fault in faults)
        is_early = any(now < one.not_valid_before_utc for one in certificates)
        return judge.failure(subject, found, CLOCK_FIRST if is_early else _ANEW)
    names = tuple(alternative_names(leaf))
    if not is_covered(subject.name, names):
        return judge.failure(subject, f"the certificate is for {', '.join(names) or 'no name'}", _NAME)
    until = min(one.not_valid_after_utc for one in certificates)
    told = f"{len(certificates)} certificate{'s' if len(certificates) > 1 else ''}"
    return judge.ok(subject, f"{told}, valid until {until:%Y-%m-%d %H:%M} UTC, up to {last.issuer.rfc4514_string()}")
