"""What the outcome of a handshake means for the operator: right or wrong, and what to do. Pure."""

from dataclasses import dataclass
from typing import Final

from config.tables.listener import REJECT, PqPolicy
from proxy.doctor.finding import Finding, Judge
from proxy.doctor.handshakes.expectation import ExpectedAnswer, is_quantum_safe, is_same_group
from proxy.doctor.handshakes.observation import Ending, Observation, alert_name
from proxy.tls.wire.alerts import AlertDescription

KEY_EXCHANGE: Final = "hybrid key share"
RETRY: Final = "classical key share"
CLASSICAL: Final = "classical client"
SEGMENTS: Final = "hello in many segments"
UNKNOWN_SERVER_NAME: Final = "unknown server name"
OLD_TLS: Final = "TLS 1.2"
RESUMPTION: Final = "resumption"
MLDSA: Final = "ML-DSA client"
CLIENT_CERTIFICATE: Final = "client certificate"
PASSTHROUGH: Final = "passthrough"
LATENCY: Final = "handshake latency"

_SLOW_SECONDS: Final = 0.5
_MLDSA_KEYS: Final = frozenset(f"2.16.840.1.101.3.4.3.{number}" for number in (17, 18, 19))
"""ML-DSA-44, -65 and -87 (NIST CSOR, RFC 9881)."""

_RELOAD: Final = (
    "The proxy may serve an earlier version of the file: run plexigate reload. If another program answers here "
    "(ss -ltnp shows it), stop it, or give the listener another address."
)
_COMPARE: Final = f"Compare with the groups in force (plexigate status). {_RELOAD}"
_RETRY_COSTS: Final = "Check the order of groups in the listener: the first tuple that a client lists decides."
_UNSEEN: Final = {
    Ending.CLOSED: (
        "Check the failures of the listener in plexigate status: a limit on connections or on handshakes, a PROXY "
        "header that is expected or not, or a worker that ends."
    ),
    Ending.SILENT: (
        "Check plexigate status: workers that are silent or late, a token that does not sign. A firewall that drops "
        "packets looks the same."
    ),
    Ending.UNREACHABLE: "Is the proxy running (plexigate status), and does it listen there (ss -ltnp)? Check firewalls.",
    Ending.NOT_TLS: "Another program has the address (ss -ltnp shows it): stop it, or give the listener another one.",
    Ending.CLIENT_REFUSED: (
        "A program other than Plexigate answers, or something between changes the bytes. Try it with: "
        "openssl s_client -connect ADDRESS -servername NAME"
    ),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What was asked: a listener, by an address, for a server name."""

    listener: str
    door: str
    name: str

    def __str__(self) -> str:
        return f"{self.listener} {self.door} {self.name}"


def key_exchange(check: str, subject: Subject, seen: Observation, expectation: ExpectedAnswer, pq: PqPolicy) -> Finding:
    """Whether the group, and the way to it, are those of the policy."""
    judge = Judge(check)
    if (unanswered := _unanswered(judge, subject, seen)) is not None:
        return unanswered
    if expectation.group is None:
        return _refusal_expected(judge, subject, seen, pq)
    if not seen.is_established:
        return judge.failure(subject, f"{seen}; {expectation.group} was to be expected", _COMPARE)
    if not is_same_group(seen.group, expectation.group):
        danger = "" if is_quantum_safe(seen.group) else ": recorded traffic can be decrypted later"
        return judge.failure(subject, f"{seen}; {expectation.group} was to be expected{danger}", _COMPARE)
    if seen.retried != expectation.is_retried:
        found = "with" if seen.retried else "without"
        return judge.warning(subject, f"{seen}, {found} a HelloRetryRequest, otherwise than expected", _RETRY_COSTS)
    return judge.ok(subject, f"{seen}{_retry_words(seen)}{_policy_words(seen, pq)}")


def _retry_words(seen: Observation) -> str:
    return ", by a HelloRetryRequest" if seen.retried else ""


def _policy_words(seen: Observation, pq: PqPolicy) -> str:
    if is_quantum_safe(seen.group):
        return ""
    reported = ", and reports it" if pq is PqPolicy.REPORT else ""
    return f"; pq = {pq} accepts a classical key exchange{reported}"


def _refusal_expected(judge: Judge, subject: Subject, seen: Observation, pq: PqPolicy) -> Finding:
    if seen.is_established:
        return judge.failure(subject, f"{seen}; pq = {pq} has to refuse this client", _COMPARE)
    return _refused(judge, subject, seen, AlertDescription.HANDSHAKE_FAILURE, f"{seen}, as pq = {pq} demands")


def unknown_name(subject: Subject, seen: Observation, default: str) -> Finding:
    """What a client gets that asks for a name of no identity; `default` is the listener's."""
    judge = Judge(UNKNOWN_SERVER_NAME)
    if (unanswered := _unanswered(judge, subject, seen)) is not None:
        return unanswered
    if default != REJECT:
        if seen.is_established:
            return judge.ok(subject, f"{seen}, by the identity {default}")
        return judge.failure(subject, f"{seen}; the identity {default} was to answer", _RELOAD)
    if seen.is_established:
        return judge.failure(subject, f"{seen}; default = reject has to refuse unknown names", _RELOAD)
    return _refused(judge, subject, seen, AlertDescription.UNRECOGNIZED_NAME, str(seen))


def old_version(subject: Subject, seen: Observation) -> Finding:
    """What a client gets that has no TLS 1.3."""
    judge = Judge(OLD_TLS)
    if (unanswered := _unanswered(judge, subject, seen)) is not None:
        return unanswered
    if seen.is_established:
        remedy = (
            "Plexigate never speaks TLS 1.2. Another program has the address (ss -ltnp shows it): stop it, or give the "
            "listener another one."
        )
        return judge.failure(subject, f"{seen.version} is accepted, without post-quantum key exchange", remedy)
    return _refused(judge, subject, seen, AlertDescription.PROTOCOL_VERSION, str(seen))


def resumption(subject: Subject, seen: Observation) -> Finding:
    """Whether a ticket of the listener is worth something, and the key exchange with it is new."""
    judge = Judge(RESUMPTION)
    if (unanswered := _unanswered(judge, subject, seen)) is not None:
        return unanswered
    if not seen.is_established:
        return judge.failure(subject, f"with a ticket, {seen}", _RELOAD)
    if not seen.is_resumed:
        remedy = (
            "Each visit costs a signature. Do all machines behind this address share their ticket keys? Look for "
            "ticket events in the log."
        )
        return judge.warning(subject, f"the ticket is not taken: a full handshake follows ({seen})", remedy)
    if not seen.has_key_exchange:
        remedy = (
            "Plexigate never does that: something else answers here. A thief of the ticket key can read the connection."
        )
        return judge.failure(subject, "the session is resumed without a new key exchange (RFC 8446 2.2)", remedy)
    return judge.ok(subject, f"a ticket resumes with a new key exchange: {seen}")


def no_ticket(subject: Subject) -> Finding:
    """The listener gave no ticket with its first answer."""
    remedy = "Each visit of a client costs a signature then. Look for ticket events in the log."
    return Judge(RESUMPTION).failure(subject, "no session ticket came with the first answer", remedy)


def mldsa(subject: Subject, seen: Observation, has_mldsa: bool | None) -> Finding:  # noqa: FBT001 - a fact that may be unknown
    """What a client gets that takes ML-DSA alone; `has_mldsa` None: not known."""
    judge = Judge(MLDSA)
    if (unanswered := _unanswered(judge, subject, seen)) is not None:
        return unanswered
    if seen.is_established:
        key = seen.chain[0].public_key_algorithm_oid.dotted_string if seen.chain else ""
        if key in _MLDSA_KEYS:
            # without its time: names that answer alike become one finding
            return judge.ok(subject, f"an ML-DSA certificate answers: {seen.version}, {seen.group}")
        found = f"a certificate with a key of another kind answers ({key or 'none'})"
        return judge.failure(subject, found, _RELOAD)
    if has_mldsa:
        return judge.failure(subject, f"{seen}; the identity has an ML-DSA certificate", _RELOAD)
    well = f"{seen}: the identity has no ML-DSA certificate"
    return _refused(judge, subject, seen, AlertDescription.HANDSHAKE_FAILURE, well)


def client_certificate(subject: Subject, seen: Observation) -> Finding:
    """What a client without a certificate gets where one is required."""
    judge = Judge(CLIENT_CERTIFICATE)
    if (unanswered := _unanswered(judge, subject, seen)) is not None:
        return unanswered
    if seen.is_established:
        return judge.failure(subject, f"{seen}, without the certificate that the identity requires", _RELOAD)
    if seen.alert == AlertDescription.CERTIFICATE_REQUIRED:
        return judge.ok(subject, f"without a certificate, {seen}")
    return judge.warning(
        subject, f"{seen}; {alert_name(AlertDescription.CERTIFICATE_REQUIRED)} was to be expected", _RELOAD
    )


def unserved(check: str, subject: Subject, seen: Observation) -> Finding:
    """A connection was to be looked at, and there is none."""
    return Judge(check).failure(subject, str(seen), _UNSEEN.get(seen.ending, _RELOAD))


def passed_on(subject: Subject, seen: Observation, server: str) -> Finding:
    """Whether the server answers whose TLS is not opened."""
    judge = Judge(PASSTHROUGH)
    if seen.is_established or seen.ending is Ending.ALERT:
        return judge.ok(subject, f"{server} answers: {seen}")
    remedy = f"Is {server} up, and does it speak TLS? Check it in plexigate status, and the listener's failures."
    return judge.failure(subject, f"{server}: {seen}", remedy)


def latency(listener: str, seconds: list[float]) -> Finding:
    """How long the handshakes with a listener took."""
    judge = Judge(LATENCY)
    if not seconds:
        return judge.skipped(listener, "no handshake came to an end")
    ordered = sorted(seconds)
    median = ordered[len(ordered) // 2]
    slowest = ordered[-1]
    found = f"median {median * 1000:.1f} ms, slowest {slowest * 1000:.1f} ms, of {len(ordered)} handshakes"
    if median < _SLOW_SECONDS:
        return judge.ok(listener, found)
    remedy = "Check plexigate status: tokens that sign slowly, workers whose loop is late. plexigate hsm test measures a token."
    return judge.warning(listener, found, remedy)


def _refused(judge: Judge, subject: Subject, seen: Observation, wanted: AlertDescription, well: str) -> Finding:
    """Whether a client that has to be refused got the alert that says why."""
    if seen.alert == wanted:
        return judge.ok(subject, well)
    return judge.warning(subject, f"{seen}; {wanted.name.lower()} was to be expected", _RELOAD)


def _unanswered(judge: Judge, subject: Subject, seen: Observation) -> Finding | None:
    """The failure of a handshake that was neither established nor refused."""
    remedy = _UNSEEN.get(seen.ending)
    return None if remedy is None else judge.failure(subject, str(seen), remedy)
