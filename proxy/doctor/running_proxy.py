"""The running proxy: whether it is ready, and of the version that is installed; alerts; workers."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from config.tables.rotation import rotate_command
from proxy.api.certificates import CertificateRow
from proxy.api.commands import AlertsDocument
from proxy.api.status import ReasonRow, StatusDocument
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge, State
from proxy.figures.totals import how_many
from proxy.observe.alert_kinds import AlertUrgency

_READY: Final = Judge("readiness")
_VERSION: Final = Judge("running version")
_ALERTS: Final = Judge("alerts")
_WORKERS: Final = Judge("workers")
_BACKUP: Final = Judge("backup")
_ROTATION: Final = Judge("rotation")
_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0
_ABSENT: Final = {
    State.WARNING: (
        "Start it: systemctl start plexigate, or plexigate run FILE. If it has ended by itself, its log says why: "
        "journalctl -u plexigate."
    ),
    State.UNKNOWN: "Run the doctor as root, or as the user of the service.",
    State.FAILURE: "Check its log (journalctl -u plexigate), and the load of the machine. A restart ends the silence.",
}
_LATE_SECONDS: Final = 0.25
_LATE: Final = frozenset({"late", "grave", "expired"})


def readiness_findings(status: StatusDocument) -> Iterator[Finding]:
    """Judge the reasons against readiness, and what is doubtful."""
    reasons = status["readiness"]["reasons"]
    doubts = status["readiness"]["doubts"]
    if not reasons:
        yield _READY.ok("the proxy", f"ready, up for {_span(status['uptime_seconds'])}")
    for one in reasons:
        remedy = "plexigate status shows it; the log of the proxy has the cause: journalctl -u plexigate."
        yield _READY.failure(_about(one), one["detail"], remedy)
    for one in doubts:
        yield _READY.warning(_about(one), one["detail"], "plexigate status shows it.")
    for route in (one["route"] for one in status["maintenance"]):
        found = "it is in maintenance: clients get the page"
        yield _READY.warning(f"route {route}", found, f"plexigate maintenance off {route} ends it.")


def _about(reason: ReasonRow) -> str:
    return f"{reason['subject']} {reason['name']}".strip()


def backup_findings(status: StatusDocument) -> Iterator[Finding]:
    backup = status["backup"]
    if backup is None:
        yield _BACKUP.skipped("backups", "the configuration names no directory for them ([backup])")
        return
    age = backup["age_seconds"]
    found = backup["fault"] or "no backup of this configuration" if age is None else f"the newest is {_span(age)} old"
    if backup["late"]:
        remedy = "Make one (plexigate backup create), and check the timer: systemctl status plexigate-backup.timer."
        yield _BACKUP.failure(backup["directory"], found, remedy)
    else:
        yield _BACKUP.ok(backup["directory"], found)


def version_finding(status: StatusDocument, installed: str) -> Finding:
    """Judge whether the running proxy is the installed program."""
    running = status["version"]
    if running == installed:
        return _VERSION.ok("the proxy", f"{running}, as installed")
    found = f"version {running} runs, and {installed} is installed"
    return _VERSION.warning("the proxy", found, "Restart it to use the installed version: systemctl restart plexigate.")


def alert_findings(document: AlertsDocument) -> Iterator[Finding]:
    """Each open alert with the remedy of its kind, and what may become one."""
    for one in document["alerts"]:
        subject = f"{one['kind']} {one['subject']}".strip()
        found = f"{one['text']} (since {one['since']}, {one['urgency']})"
        if one.get("over"):
            yield _ALERTS.ok(subject, f"over, and resolved soon unless it comes back: {found}")
            continue
        judge = _ALERTS.failure if one["urgency"] == AlertUrgency.CRITICAL else _ALERTS.warning
        yield judge(subject, found, one["remedy"])
    waiting = document.get("waiting", [])  # an older version does not tell it
    for row in waiting:
        found = f"{row['text']} (since {row['since']}, an alert in {row['alert_in_seconds']:.0f} s)"
        yield _ALERTS.warning(f"{row['kind']} {row['subject']}".strip(), found, row["remedy"])
    if not document["alerts"] and not waiting:
        yield _ALERTS.ok("alerts", "none is open")


def worker_findings(status: StatusDocument) -> Iterator[Finding]:
    """Judge restarts, silence and delays of the workers."""
    restarts = status["worker_restarts"]
    uptime = status["uptime_seconds"]
    log = "The log says why: worker_lost, and the traceback before it. Report it if it is an internal error."
    if restarts:
        found = f"{how_many(restarts, 'worker')} had to be replaced in {_span(uptime)}"
        yield _WORKERS.warning("restarts", found, log)
    else:
        yield _WORKERS.ok("restarts", f"none in {_span(uptime)}")
    generation = status["generation"]
    for one in status["workers"]:
        subject = f"worker {one['slot']}"
        lag = one["loop_lag_p99_seconds"]
        found = f"process {one['pid']}, {one['state']}, generation {one['generation']}"
        if one["state"] == "silent":
            yield _WORKERS.failure(subject, f"{found}: it does not answer", log)
        elif one["state"] == "serving" and one["generation"] not in {None, generation}:
            remedy = "Wait a moment; if it stays, plexigate reload."
            yield _WORKERS.warning(subject, f"{found}, while the proxy is at {generation}", remedy)
        elif lag is not None and lag > _LATE_SECONDS:
            remedy = "Give it more cores or workers; look for another program that takes the cores."
            yield _WORKERS.warning(subject, f"{found}; event loop lag p99 {lag * 1e3:.0f} ms", remedy)
        else:
            yield _WORKERS.ok(subject, found)
    failed = status["reloads"].get("failed", 0)
    if failed:
        remedy = "plexigate reload --dry-run says whether the file can be used now."
        yield _WORKERS.warning("reloads", f"{failed} of {sum(status['reloads'].values())} failed", remedy)


def rotation_findings(certificates: list[CertificateRow]) -> Iterator[Finding]:
    """Judge the certificates that the proxy rotates, by its `GET /certificates`."""
    if not certificates:
        yield _ROTATION.skipped("rotation", "no certificate rotates automatically")
    for one in certificates:
        subject = f"{one['identity']} {one['credential']}"
        following = one["next"]
        remedy = f"{rotate_command(one['identity'], one['credential'])} tries it now and shows each step."
        if one["not_after"] is None:
            yield _ROTATION.failure(subject, f"it has no certificate yet: {_error(one)}", remedy)
        elif following is not None and following["urgency"] in _LATE:
            found = f"its rotation is {following['urgency']}, {following['failures']} failures: {_error(one)}"
            yield _ROTATION.failure(subject, found, remedy)
        elif one["last_error"]:
            yield _ROTATION.warning(subject, f"its last rotation failed: {_error(one)}", remedy)
        else:
            due = "" if following is None else f"; next rotation at {following['at']} ({following['reason']})"
            yield _ROTATION.ok(subject, f"valid until {one['not_after']}{due}")


def _error(one: CertificateRow) -> str:
    return one["last_error"] or "no attempt has failed yet"


def _span(seconds: float) -> str:
    if seconds >= 2 * _DAY:
        return f"{seconds / _DAY:.0f} days"
    return f"{seconds / _HOUR:.0f} hours" if seconds >= 2 * _HOUR else f"{seconds:.0f} s"


def _readiness(examined: Examined) -> Iterator[Finding]:
    if examined.status is not None:
        yield from readiness_findings(examined.status)
    elif examined.configured is None:
        yield _READY.skipped("the proxy", examined.absence)
    else:
        state = examined.absence_state
        yield Finding("readiness", "the proxy", state, examined.absence, _ABSENT[state])


def _version(examined: Examined) -> Iterator[Finding]:
    yield version_finding(examined.proxy.status, version("plexigate"))


def _alerts(examined: Examined) -> Iterator[Finding]:
    # Not those of the status: they are as old as the latest look of the proxy.
    yield from alert_findings(examined.proxy.ask("/alerts"))


def _workers(examined: Examined) -> Iterator[Finding]:
    yield from worker_findings(examined.proxy.status)


def _backups(examined: Examined) -> Iterator[Finding]:
    yield from backup_findings(examined.proxy.status)


def _rotation(examined: Examined) -> Iterator[Finding]:
    yield from rotation_findings(examined.proxy.ask("/certificates")["certificates"])


RUNNING_PROXY: Final = (
    Checkup("readiness", Area.RUNNING, _readiness),
    Checkup("running version", Area.RUNNING, _version),
    Checkup("alerts", Area.RUNNING, _alerts),
    Checkup("workers", Area.RUNNING, _workers),
    Checkup("rotation", Area.RUNNING, _rotation),
    Checkup("backup", Area.RUNNING, _backups),
)
