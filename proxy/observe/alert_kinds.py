"""The catalogue of all kinds of alerts: what each means, and what the operator does. Pure.

docs/alerts.md is made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class AlertUrgency(StrEnum):
    """How soon an operator has to act, the most urgent first."""

    CRITICAL = "critical"
    """Now: clients are refused, or evidence is lost."""
    SERIOUS = "serious"
    """Today: clients will be refused, or a safeguard is gone."""
    WARNING = "warning"
    """During the day: the proxy serves, but something is wrong."""

    @property
    def rank(self) -> int:
        """0 for the most urgent."""
        return _ORDER.index(self)

    def exceeds(self, other: "AlertUrgency") -> bool:
        return self.rank < other.rank


_ORDER: Final = tuple(AlertUrgency)


class AlertKind(StrEnum):
    """The name of a kind in JSON. Programs compare it: it never changes."""

    PIN_REFUSED = "pin_refused"
    TOKEN_UNUSABLE = "token_unusable"  # noqa: S105 - no password
    KEY_MISSING = "key_missing"
    IDENTITY_UNUSABLE = "identity_unusable"
    CERTIFICATE_EXPIRING = "certificate_expiring"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    REVOCATIONS_EXPIRING = "revocations_expiring"
    PUBLISHED_LIST_EXPIRING = "published_list_expiring"
    UNKNOWN_CERTIFICATE = "unknown_certificate"
    LOG_NOT_READ = "log_not_read"
    ROTATION_FAILING = "rotation_failing"
    ROTATION_REFUSED = "rotation_refused"
    REVOCATION_FAILED = "revocation_failed"
    UPSTREAM_DOWN = "upstream_down"
    SERVER_DOWN = "server_down"
    HEALTH_CHECKS_NOT_MADE = "health_checks_not_made"
    WORKERS_RESTART = "workers_restart"
    WORKER_AWAY = "worker_away"
    DESCRIPTORS_SHORT = "descriptors_short"
    MEMORY_SHORT = "memory_short"
    LOG_LINES_LOST = "log_lines_lost"
    AUDIT_NOT_WRITTEN = "audit_not_written"
    AUDIT_LINES_LOST = "audit_lines_lost"
    AUDIT_UNSIGNED = "audit_unsigned"
    STATE_NOT_WRITABLE = "state_not_writable"
    BACKUP_OLD = "backup_old"
    FLEET_AWAY = "fleet_away"
    FLEET_CLOCK = "fleet_clock"
    FLEET_RESTORED = "fleet_restored"
    FLEET_CONFIGURATION = "fleet_configuration"
    FLEET_LOG_BROKEN = "fleet_log_broken"
    SECRETS_NOT_ROTATED = "secrets_not_rotated"
    SEALING_NOT_RENEWED = "sealing_not_renewed"
    SEALING_KEY_REPLACED = "sealing_key_replaced"
    RELOAD_REFUSED = "reload_refused"
    UPGRADE_FAILED = "upgrade_failed"
    CLOCK_JUMPED = "clock_jumped"
    UNEXPECTED_ERROR = "unexpected_error"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class KindFacts:
    """What a kind is about. `subject` says what the subject of such an alert names."""

    urgency: AlertUrgency
    """Unless it says otherwise in `meaning`."""
    subject: str
    meaning: str
    remedy: str
    after_seconds: float = 0.0
    """How long it has to hold before it is told: what a restart repairs wants no person."""


_CRITICAL, _SERIOUS, _WARNING = AlertUrgency

KINDS: Final[Mapping[AlertKind, KindFacts]] = {
    AlertKind.PIN_REFUSED: KindFacts(
        _CRITICAL,
        "the token",
        "A token refused its PIN. No process logs in again, so that the token does not lock itself.",
        "Correct the PIN and reload, or run `plexigate hsm unlatch TOKEN` to try the same PIN once more.",
    ),
    AlertKind.TOKEN_UNUSABLE: KindFacts(
        _SERIOUS,
        "the token",
        "A token does not answer, fails, or is not there. Identities with other keys sign with those.",
        "Check the device and `plexigate hsm list`. The proxy repeats the probe and uses the token as soon as it works.",
        after_seconds=10.0,
    ),
    AlertKind.KEY_MISSING: KindFacts(
        _SERIOUS,
        "the PKCS#11 URI of the key",
        "A token works, but one of its keys is missing or cannot sign.",
        "Plexigate replaces a key that it has made by itself. Else look for it with `plexigate hsm list`, and restore it, or configure another one.",
    ),
    AlertKind.IDENTITY_UNUSABLE: KindFacts(
        _CRITICAL,
        "the identity",
        "An identity cannot prove itself: its clients are refused.",
        "`plexigate status` names the reason: a token, a sealed key, or a certificate that is missing or has expired.",
        after_seconds=10.0,
    ),
    AlertKind.CERTIFICATE_EXPIRING: KindFacts(
        _WARNING,
        "identity and algorithm",
        "A certificate from a file expires soon (`alerts.certificate_left`). The alert becomes serious at a third of that "
        "time and critical at a tenth.",
        "Renew the certificate and reload: the client of the CA, such as certbot, should have done that.",
    ),
    AlertKind.CERTIFICATE_NOT_YET_VALID: KindFacts(
        _SERIOUS,
        "identity and algorithm",
        "The validity of a certificate that is served begins in the future. Clients with a correct clock refuse it.",
        "Compare the clock of this machine with another one. If it is correct, the CA has set a wrong date.",
    ),
    AlertKind.REVOCATIONS_EXPIRING: KindFacts(
        _WARNING,
        "the identity",
        "A revocation list of `client_certificates` expires soon, or there is none. Then the clients of its authority are "
        "refused. The alert begins at a quarter of the list's life, is serious at a twelfth, and critical at a fortieth.",
        "With `crl_url` the text names why there is no newer one; without a reason the authority has made none. With `crl` put the current lists of the authorities into "
        "the file and reload: a timer should have done that.",
    ),
    AlertKind.PUBLISHED_LIST_EXPIRING: KindFacts(
        _WARNING,
        "the issuer",
        "The revocation list of an internal CA is not renewed. When it expires, clients that check revocations refuse the "
        "certificates of that CA. The alert begins at a quarter of the list's life, is serious at a twelfth, and critical "
        "at a fortieth.",
        "The text names the reason: mostly the token with the key of the CA, or the disk.",
    ),
    AlertKind.UNKNOWN_CERTIFICATE: KindFacts(
        _SERIOUS,
        "the serial number, or `more`",
        "A log of `ct.watch` has a certificate for one of your names, and its key is none of yours. The owner of that key "
        "can be your server to clients.",
        "Ask who ordered it. If it was you, add its serial number to `ct.known_serials`. Else have its CA revoke it, and find "
        "out how the CA validated the name, mostly by DNS. CAA records restrict which CAs may issue.",
    ),
    AlertKind.LOG_NOT_READ: KindFacts(
        _WARNING,
        "the log",
        "A log of `ct.watch` could not be read for six hours: certificates that it gets for your names are not found.",
        "The text names the reason. If the log has ended, take it out of `ct.watch`. If it was set up again, remove `ct.json` "
        "in `rotation.state`: reading then begins at the end of each log.",
    ),
    AlertKind.ROTATION_FAILING: KindFacts(
        _WARNING,
        "identity and credential",
        "A certificate should have been replaced and the attempts fail. The alert is a warning after a third of the time "
        "between its due date and its expiry, serious after two thirds, critical when it has expired.",
        "Correct the reason, then `plexigate certs rotate IDENTITY`.",
    ),
    AlertKind.ROTATION_REFUSED: KindFacts(
        _SERIOUS,
        "identity and credential",
        "The CA refused a rotation for good: the same request will fail again.",
        "Correct the configuration or the account at the CA, then `plexigate certs rotate IDENTITY`.",
    ),
    AlertKind.REVOCATION_FAILED: KindFacts(
        _CRITICAL,
        "identity and credential",
        "The CA did not revoke the certificate of a compromised key: clients still trust it.",
        "If the CA has another way to revoke (a web page, a telephone), use it. The proxy tries again.",
    ),
    AlertKind.UPSTREAM_DOWN: KindFacts(
        _CRITICAL,
        "the upstream",
        "An upstream has no server left that takes requests: its clients get 503.",
        "Check the servers that the text names. The proxy uses a server as soon as a check or a connection succeeds.",
    ),
    AlertKind.SERVER_DOWN: KindFacts(
        _WARNING,
        "upstream and server",
        "The health checks of a server fail, and other servers of the upstream do its work.",
        "Check the server, or take it out with `plexigate drain UPSTREAM SERVER`.",
        # While an upstream comes back, its workers and its parent see it at different moments.
        after_seconds=10.0,
    ),
    AlertKind.HEALTH_CHECKS_NOT_MADE: KindFacts(
        _SERIOUS,
        "the upstream",
        "The proxy itself cannot make health checks. Servers keep the state that the last checks found.",
        "Mostly file descriptors are short: raise `LimitNOFILE=`.",
    ),
    AlertKind.WORKERS_RESTART: KindFacts(
        _CRITICAL,
        "`workers`",
        "Workers ended, or could not be started, three times or more within ten minutes.",
        "Look for `worker_ended`, `worker_failed` and `error` in the log, and for the kernel's out-of-memory killer.",
    ),
    AlertKind.WORKER_AWAY: KindFacts(
        _SERIOUS,
        "the number of the worker",
        "A worker is missing or does not answer, and no other one has taken its place.",
        "Look for `worker_failed` in the log. After an upgrade of the files, restart the proxy.",
        after_seconds=20.0,
    ),
    AlertKind.DESCRIPTORS_SHORT: KindFacts(
        _SERIOUS,
        "`parent` or `workers`",
        "File descriptors are short: workers stop accepting connections, or the parent stops health checks.",
        "Raise `LimitNOFILE=`, or lower `limits.connections`.",
    ),
    AlertKind.MEMORY_SHORT: KindFacts(
        _SERIOUS,
        "`workers`",
        "A worker stopped accepting connections because it has reached `limits.memory_bytes`, or the kernel's limit.",
        "Check `plexigate status`, column memory. Lower `limits.connections`, or give the machine more memory.",
    ),
    AlertKind.LOG_LINES_LOST: KindFacts(
        _SERIOUS,
        "`log`",
        "Log lines were lost, or the log could not be written.",
        "Check the disk of `log.file`, or the program that reads standard output.",
    ),
    AlertKind.AUDIT_NOT_WRITTEN: KindFacts(
        _CRITICAL,
        "`audit`",
        "The audit log cannot be written. Its lines wait in memory.",
        "Check the disk of `audit.file` before the queue is full.",
    ),
    AlertKind.AUDIT_LINES_LOST: KindFacts(
        _CRITICAL,
        "`audit`",
        "Lines of the audit log are lost: its queue was full.",
        "Check the disk of `audit.file`. The log itself says how many lines are missing.",
    ),
    AlertKind.AUDIT_UNSIGNED: KindFacts(
        _WARNING,
        "`audit`",
        "The key of the audit log did not sign a checkpoint.",
        "Check the token of `audit.checkpoint_key`.",
    ),
    AlertKind.STATE_NOT_WRITABLE: KindFacts(
        _SERIOUS,
        "the directory",
        "A state directory cannot be written: rotations will fail, and secrets end with the process.",
        "Check the free space and the permissions of the directory.",
    ),
    AlertKind.BACKUP_OLD: KindFacts(
        _SERIOUS,
        "the directory",
        "The newest backup of this configuration is older than `backup.alert_after`, or there is none.",
        "Run `plexigate backup create`, and check the timer: `systemctl status plexigate-backup.timer`.",
    ),
    AlertKind.FLEET_AWAY: KindFacts(
        _WARNING,
        "the node",
        "The store of the fleet, or something in it, cannot be used, or no leader plans while the store answers; and what is "
        "planned ends in 18 hours or less. The alert is serious from six hours on, and if this node has not joined its fleet; it "
        "is critical in the last hour.",
        "Check etcd, and the network to it: `plexigate fleet status`, `plexigate doctor`. If the store names a leader that does not "
        "lead, delete the key `leader` below `fleet.prefix` in etcd: another node leads at once.",
        after_seconds=60.0,
    ),
    AlertKind.FLEET_CLOCK: KindFacts(
        _SERIOUS,
        "the node",
        "The clock of this node differs by more than a minute from that of the fleet's store. The node serves, takes nothing "
        "new and does not lead.",
        "Check NTP on this node, and on the machines of etcd.",
        after_seconds=60.0,
    ),
    AlertKind.FLEET_RESTORED: KindFacts(
        _SERIOUS,
        "the node",
        "The store of the fleet has lost changes, as one that was restored from a snapshot. The node serves by what it has, and "
        "takes nothing new.",
        "If that is the etcd that you want, run `plexigate fleet accept-restore` on each node.",
    ),
    AlertKind.FLEET_CONFIGURATION: KindFacts(
        _WARNING,
        "the node that differs",
        "A node of the fleet serves by another configuration than the leader, which tells.",
        "Give it the same file, apart from what is of that machine, and run `plexigate reload --fleet`.",
        after_seconds=60.0,
    ),
    AlertKind.FLEET_LOG_BROKEN: KindFacts(
        _SERIOUS,
        "the node with that log",
        "The audit log of a node does not go on from where it was: lines are gone, or are others than before. All nodes tell, "
        "for a day.",
        "Run `plexigate audit verify` on that node, with the checkpoints in its journal. The machine may be compromised.",
    ),
    AlertKind.SECRETS_NOT_ROTATED: KindFacts(
        _WARNING,
        "`session tickets` or the ring",
        "The key of session tickets or of a payload ring could not be replaced or stored.",
        "Check the sealing key (`plexigate hsm list`) and the directory of `[sealing]`.",
    ),
    AlertKind.SEALING_NOT_RENEWED: KindFacts(
        _WARNING,
        "`sealing`",
        "Keys below the sealing key should have been rotated, or files sealed again, and that fails.",
        "Correct what the text names. Run `plexigate hsm keys --reseal` as the owner of files that Plexigate may not write.",
        after_seconds=60.0,
    ),
    AlertKind.SEALING_KEY_REPLACED: KindFacts(
        _WARNING,
        "`sealing`",
        "The configuration names a sealing key that was replaced and opens what is sealed for some time only. The alert is "
        "serious in the last week and critical on the last day: after that, a start fails.",
        "Set `sealing.key` to the key that the text names, then reload.",
    ),
    AlertKind.RELOAD_REFUSED: KindFacts(
        _SERIOUS,
        "`configuration`",
        "A reload was refused. The workers serve by the previous configuration, and a restart would fail.",
        "Correct what the text names, try `plexigate reload --dry-run`, then reload.",
    ),
    AlertKind.UPGRADE_FAILED: KindFacts(
        _WARNING,
        "`upgrade`",
        "An upgrade in place failed, and the previous process serves as before. The alert ends with the next upgrade, or "
        "after an hour.",
        "Correct what the text names, then run `plexigate upgrade` again.",
    ),
    AlertKind.CLOCK_JUMPED: KindFacts(
        _WARNING,
        "`clock`",
        "The clock of this machine was set by more than ten seconds. Certificates and tickets depend on it.",
        "Check the time service (`timedatectl`, `chronyc tracking`).",
    ),
    AlertKind.UNEXPECTED_ERROR: KindFacts(
        _WARNING,
        "`parent`",
        "An unexpected error in the parent process.",
        "It is a defect: report it with the lines around `error` in the log.",
    ),
    AlertKind.TEST: KindFacts(
        _WARNING,
        "`test`",
        "`plexigate alerts test` was called.",
        "Nothing is wrong.",
    ),
}
"""All kinds, in the order of the document."""
