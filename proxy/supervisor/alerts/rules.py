"""What is wrong, read from the state of the whole proxy at one moment. Pure.

A rule is a function from the facts to concerns. A concern is there as long as its cause is: the
table of open alerts adds the memory.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from certs.rotation.urgency import Urgency
from proxy.limits.reasons import ConnectionReason
from proxy.observe.alert import Concern, span, utc
from proxy.observe.alert_kinds import KINDS, AlertKind, AlertUrgency
from proxy.observe.readiness import ReadinessSubject
from proxy.observe.scrape import TICKETS_PLANNED, CertificateFacts, FleetFacts, FleetFault, RevocationFacts, Scrape
from proxy.supervisor.alerts.growth import Growth
from proxy.upstream.pooling.statistics import ServerState

_DAY: Final = 86_400.0
_HOUR: Final = 3_600.0
# Of the lifetime of a certificate from a file: clients of CAs renew when a third is left.
_SHARE_LEFT: Final = 1 / 4
_SERIOUS_PART: Final = 1 / 3
_CRITICAL_PART: Final = 1 / 10
_MOST_UNKNOWN: Final = 20
"""Alerts of single certificates: a log may invent thousands."""
_LOG_SECONDS: Final = 6 * _HOUR
"""Logs fail for a while, now and then, and lose nothing by that."""
_FLEET_LEFT: Final = (
    (_HOUR, AlertUrgency.CRITICAL),
    (6 * _HOUR, AlertUrgency.SERIOUS),
    (18 * _HOUR, AlertUrgency.WARNING),
)
"""What is planned ahead, in seconds: a day at least, while a leader plans."""
_OF_FLEET: Final = {
    FleetFault.CLOCK: AlertKind.FLEET_CLOCK,
    FleetFault.RESTORED: AlertKind.FLEET_RESTORED,
}
_OF_ROTATION: Final = {
    Urgency.LATE: AlertUrgency.WARNING,
    Urgency.GRAVE: AlertUrgency.SERIOUS,
    Urgency.EXPIRED: AlertUrgency.CRITICAL,
}
_OF_SUBJECT: Final = {
    ReadinessSubject.IDENTITY: AlertKind.IDENTITY_UNUSABLE,
    ReadinessSubject.UPSTREAM: AlertKind.UPSTREAM_DOWN,
    ReadinessSubject.WORKER: AlertKind.WORKER_AWAY,
}


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """The state of the proxy, and of what is around it."""

    scrape: Scrape
    certificate_left: float
    """Seconds that a certificate from a file has left when it becomes a concern."""
    shortage: str | None = None
    """Why the parent is short of descriptors."""
    unwritable: Mapping[str, str] = field(default_factory=dict)
    """Why a state directory cannot be written, by directory."""
    clock_jump: float | None = None
    """By how many seconds the clock was set lately."""


class Rules:
    """All rules. Those about counters remember the values of the look before."""

    def __init__(self) -> None:
        self.growth: Final = Growth()

    def concerns(self, facts: AlertFacts, ticks: float) -> Iterator[Concern]:
        for rule in _RULES:
            yield from rule(facts)
        yield from _grown(self.growth.look(_counters(facts.scrape), ticks))


def _concern(kind: AlertKind, subject: str, text: str, urgency: AlertUrgency | None = None) -> Concern:
    return Concern(kind, subject, urgency or KINDS[kind].urgency, text)


def _tokens(facts: AlertFacts) -> Iterator[Concern]:
    for one in facts.scrape.tokens:
        match one.condition:
            case "well":
                pass
            case "pin_refused":
                text = f"token {one.token} refused its PIN: {one.detail}"
                yield _concern(AlertKind.PIN_REFUSED, one.token, text)
            case _:
                text = f"token {one.token} cannot be used ({one.condition}): {one.detail}"
                yield _concern(AlertKind.TOKEN_UNUSABLE, one.token, text)
        for key, identities in one.missing_keys.items():
            text = f"token {one.token} has no key {key}, or it cannot sign; {', '.join(identities)} needs it"
            yield _concern(AlertKind.KEY_MISSING, key, text)


def _readiness(facts: AlertFacts) -> Iterator[Concern]:
    for one in facts.scrape.readiness.reasons:
        if one.subject in _OF_SUBJECT:  # a proxy that starts or ends is no concern
            yield _concern(_OF_SUBJECT[one.subject], one.name, str(one))


def _servers(facts: AlertFacts) -> Iterator[Concern]:
    down = {one.name for one in facts.scrape.readiness.reasons if one.subject is ReadinessSubject.UPSTREAM}
    states: dict[tuple[str, str], set[str]] = {}
    for worker in facts.scrape.workers:
        for row in worker.servers:
            states.setdefault((row["upstream"], row["server"]), set()).add(row["state"])
    for (upstream, server), seen in states.items():
        if seen == {ServerState.DOWN} and upstream not in down:
            text = f"server {server} of upstream {upstream} is down; others do its work"
            yield _concern(AlertKind.SERVER_DOWN, f"{upstream} {server}", text)


def _checks(facts: AlertFacts) -> Iterator[Concern]:
    for one in facts.scrape.unmade_checks:
        if one.reason is not None:
            text = f"the health checks of upstream {one.upstream} cannot be made: {one.reason}"
            yield _concern(AlertKind.HEALTH_CHECKS_NOT_MADE, one.upstream, text)


def _certificates(facts: AlertFacts) -> Iterator[Concern]:
    now = facts.scrape.now
    for one in facts.scrape.certificates:
        place = f" in {', '.join(one.tokens)}" if one.tokens else ""
        subject = f"{one.identity} {one.algorithm}{place}"
        name = f"the {one.algorithm} certificate of {one.identity}{place}"
        if one.begins_at > now:
            text = f"{name} is not valid before {utc(one.begins_at)}; by this machine's clock it is {utc(now)}"
            yield _concern(AlertKind.CERTIFICATE_NOT_YET_VALID, subject, text)
        urgency = None if one.is_issued else _urgency_of(one, now, facts.certificate_left)
        if urgency is not None:
            left = one.expires_at - now
            when = f"expires in {span(left)}" if left > 0 else "has expired"
            text = f"{name} {when}, on {utc(one.expires_at)}"
            yield _concern(AlertKind.CERTIFICATE_EXPIRING, subject, text, urgency)


def _revocations(facts: AlertFacts) -> Iterator[Concern]:
    now = facts.scrape.now
    for one in facts.scrape.revocations:
        urgency = _urgency_of(one, now, facts.certificate_left)
        if urgency is not None:
            left = one.expires_at - now
            what = "may be revoked" if one.is_lenient else "are refused"
            when = f"expires in {span(left)}" if left > 0 else f"has expired, and its clients {what}"
            text = f"a revocation list of {one.name} {when}: {utc(one.expires_at)}"
            if one.expires_at == 0:
                text = f"an authority of {one.name} has no revocation list, and its clients {what}"
            text += f" ({one.fault})" if one.fault else ""
            yield _concern(AlertKind.REVOCATIONS_EXPIRING, one.name, text, urgency)
    for one in facts.scrape.published_lists:
        urgency = _urgency_of(one, now, facts.certificate_left)
        if urgency is not None:
            left = one.expires_at - now
            when = f"expires in {span(left)}" if left > 0 else "has expired"
            why = f" ({one.fault})" if one.fault else ""
            text = f"the revocation list of issuer {one.name} {when} and is not renewed{why}: {utc(one.expires_at)}"
            if one.expires_at == 0:
                text = f"issuer {one.name} has no revocation list{why}"
            yield _concern(AlertKind.PUBLISHED_LIST_EXPIRING, one.name, text, urgency)


def _unknown_certificates(facts: AlertFacts) -> Iterator[Concern]:
    unknown = facts.scrape.unknown_certificates
    for one in unknown[:_MOST_UNKNOWN]:
        text = (
            f"{one.log} has a certificate for {', '.join(one.names)} with a key that is none of ours: "
            f"serial {one.serial}, issued by {one.issuer}, valid until {utc(one.expires_at)}"
        )
        yield _concern(AlertKind.UNKNOWN_CERTIFICATE, one.serial, text)
    if len(unknown) > _MOST_UNKNOWN:
        text = (
            f"logs have {len(unknown) - _MOST_UNKNOWN} more certificates for your names with keys that are none of ours"
        )
        yield _concern(AlertKind.UNKNOWN_CERTIFICATE, "more", text)


def _logs(facts: AlertFacts) -> Iterator[Concern]:
    for one in facts.scrape.watched_logs:
        if one.fault is not None and facts.scrape.now - one.failing_since >= _LOG_SECONDS:
            yield _concern(AlertKind.LOG_NOT_READ, one.log, f"the log {one.log} cannot be read: {one.fault}")


def _urgency_of(one: CertificateFacts | RevocationFacts, now: float, wanted: float) -> AlertUrgency | None:
    room = min(wanted, (one.expires_at - one.begins_at) * _SHARE_LEFT)
    left = one.expires_at - now
    if left > room:
        return None
    if left > room * _SERIOUS_PART:
        return AlertUrgency.WARNING
    return AlertUrgency.SERIOUS if left > room * _CRITICAL_PART else AlertUrgency.CRITICAL


def _rotations(facts: AlertFacts) -> Iterator[Concern]:
    for one in facts.scrape.rotating:
        subject = f"{one.identity} {one.credential}"
        name = f"the {one.credential} credential of {one.identity}"
        urgency = _OF_ROTATION.get(Urgency(one.urgency))
        if one.error is not None and urgency is not None:
            text = f"{name} should have been replaced, and that fails: {one.error}"
            yield _concern(AlertKind.ROTATION_FAILING, subject, text, urgency)
        if one.error is not None and one.is_refused:
            yield _concern(AlertKind.ROTATION_REFUSED, subject, f"{name} is not rotated: {one.error}")
        if one.unrevoked is not None:
            text = f"the compromised key of {name} is still trusted: {one.unrevoked}"
            yield _concern(AlertKind.REVOCATION_FAILED, subject, text)


def _sealing(facts: AlertFacts) -> Iterator[Concern]:
    one = facts.scrape.sealing
    if one is None:
        return
    if one.error is not None:
        yield _concern(AlertKind.SEALING_NOT_RENEWED, "sealing", f"what is sealed could not be renewed: {one.error}")
    if one.is_previous and one.previous_until is not None:
        left = one.previous_until - facts.scrape.now
        text = (
            f"the configuration names a sealing key that was replaced by {one.key}; it opens what is sealed until "
            f"{utc(one.previous_until)}"
        )
        urgency = AlertUrgency.CRITICAL if left <= _DAY else AlertUrgency.SERIOUS if left <= 7 * _DAY else None
        yield _concern(AlertKind.SEALING_KEY_REPLACED, "sealing", text, urgency)


def _surroundings(facts: AlertFacts) -> Iterator[Concern]:
    if facts.shortage is not None:
        text = f"the parent is short of descriptors: {facts.shortage}"
        yield _concern(AlertKind.DESCRIPTORS_SHORT, "parent", text)
    for directory, why in facts.unwritable.items():
        yield _concern(AlertKind.STATE_NOT_WRITABLE, directory, f"{directory} cannot be written: {why}")
    if facts.clock_jump is not None:
        ahead = "forward" if facts.clock_jump > 0 else "back"
        text = f"the clock was set {ahead} by {span(abs(facts.clock_jump))}; now it is {utc(facts.scrape.now)}"
        yield _concern(AlertKind.CLOCK_JUMPED, "clock", text)


def _backups(facts: AlertFacts) -> Iterator[Concern]:
    backup = facts.scrape.backup
    if backup is None or not backup.is_late(facts.scrape.now):
        return
    age = backup.age(facts.scrape.now)
    why = "" if backup.fault is None else f": {backup.fault}"
    found = (
        f"{backup.directory} has no backup of this configuration{why}"
        if age is None
        else f"the newest backup is {span(age)} old"
    )
    yield _concern(AlertKind.BACKUP_OLD, backup.directory, found)


def _fleet(facts: AlertFacts) -> Iterator[Concern]:
    fleet = facts.scrape.fleet
    if fleet is None:
        return
    yield from _fleet_store(fleet, facts.scrape)
    for node, (at, how) in fleet.broken_logs.items():
        if facts.scrape.now - at < _DAY:
            yield _concern(AlertKind.FLEET_LOG_BROKEN, node, f"the audit log of {node} does not go on: {how}")
    if fleet.is_leading:
        for node, digest in fleet.others.items():
            text = f"{node} serves by configuration {digest[:12]}, and the leader, {fleet.node}, by another one"
            yield _concern(AlertKind.FLEET_CONFIGURATION, node, text)


def _fleet_store(fleet: FleetFacts, scrape: Scrape) -> Iterator[Concern]:
    if fleet.fault is None:
        if TICKETS_PLANNED in fleet.planned:  # also when someone else has written who leads
            why = f"no leader plans for the fleet; its store names {fleet.leader or 'none'}"
            yield from _planned_for(fleet.planned[TICKETS_PLANNED] - scrape.now, TICKETS_PLANNED, fleet, why)
    elif (kind := _OF_FLEET.get(fleet.kind)) is not None:
        yield _concern(kind, fleet.node, fleet.fault)
    else:
        yield from _fleet_away(fleet, scrape)


def _fleet_away(fleet: FleetFacts, scrape: Scrape) -> Iterator[Concern]:
    why = f"the store of the fleet: {fleet.fault}"
    if not fleet.planned:
        yield _concern(AlertKind.FLEET_AWAY, fleet.node, f"{why}; this node has not joined", AlertUrgency.SERIOUS)
        return
    # no node orders a certificate without the store
    issued = [one for one in scrape.certificates if one.is_issued]
    certificates = [(one.expires_at, f"the certificate of {one.identity}") for one in issued]
    until, what = min([*certificates, *((at, what) for what, at in fleet.planned.items())])
    yield from _planned_for(until - scrape.now, what, fleet, why)


def _planned_for(left: float, what: str, fleet: FleetFacts, why: str) -> Iterator[Concern]:
    left = max(left, 0.0)
    for most, urgency in _FLEET_LEFT:
        if left <= most:
            text = f"{why}; planned for {span(left)}: {what}"
            yield _concern(AlertKind.FLEET_AWAY, fleet.node, text, urgency)
            return


_RULES: Final[tuple[Callable[[AlertFacts], Iterator[Concern]], ...]] = (
    _tokens,
    _readiness,
    _servers,
    _checks,
    _certificates,
    _revocations,
    _unknown_certificates,
    _logs,
    _rotations,
    _sealing,
    _surroundings,
    _backups,
    _fleet,
)

# What a counter counts, for the text, and the kind of its growth.
_COUNTED: Final[Mapping[str, tuple[AlertKind, str, str]]] = {
    "log_dropped": (AlertKind.LOG_LINES_LOST, "log", "log lines were lost"),
    "log_errors": (AlertKind.LOG_LINES_LOST, "log", "attempts to write or open the log failed"),
    "audit_lost": (AlertKind.AUDIT_LINES_LOST, "audit", "lines of the audit log were lost"),
    "audit_unsigned": (AlertKind.AUDIT_UNSIGNED, "audit", "checkpoints of the audit log are not signed"),
    ConnectionReason.OUT_OF_DESCRIPTORS: (
        *(AlertKind.DESCRIPTORS_SHORT, "workers"),
        "times a worker stopped accepting connections, because descriptors were short",
    ),
    ConnectionReason.OUT_OF_MEMORY: (
        *(AlertKind.MEMORY_SHORT, "workers"),
        "times a worker stopped accepting connections, because memory was short",
    ),
}


def _counters(scrape: Scrape) -> dict[str, int]:
    logs = [row for one in scrape.snapshots for row in one.get("log", ())]
    failures = [row for one in scrape.snapshots for row in one.get("failures", ())]
    dropped, errors = scrape.log_losses
    return {
        "log_dropped": dropped + sum(row["dropped"] for row in logs),
        "log_errors": errors + sum(row["errors"] for row in logs),
        "audit_lost": scrape.audit.get("lost", 0),
        "audit_unsigned": scrape.audit.get("unsigned", 0),
        **{
            reason: sum(row["count"] for row in failures if row["reason"] == reason)
            for reason in (ConnectionReason.OUT_OF_DESCRIPTORS, ConnectionReason.OUT_OF_MEMORY)
        },
    }


def _grown(grown: Mapping[str, int]) -> Iterator[Concern]:
    for name, by in grown.items():
        kind, subject, what = _COUNTED[name]
        yield _concern(kind, subject, f"{by} {what}")
