"""What is wrong, read from the state of the proxy: each kind by its cause, and nothing where all
is well."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from proxy.observe.alert import Concern
from proxy.observe.alert_kinds import AlertKind, AlertUrgency
from proxy.observe.readiness import NotReadyReason, Readiness, ReadinessSubject
from proxy.observe.scrape import (
    BackupFacts,
    CertificateFacts,
    FleetFacts,
    FleetFault,
    RevocationFacts,
    RotationFacts,
    Scrape,
    SealingFacts,
    TokenScrape,
    UnknownCertificate,
    UnmadeCheck,
    WatchedLog,
    WorkerScrape,
)
from proxy.supervisor.alerts.rules import AlertFacts, Rules
from tests.parts import part

if TYPE_CHECKING:
    from proxy.figures.snapshot import Counts, FailureRow

NOW = 1_780_315_200.0
DAY = 86_400.0
WELL = Scrape(NOW, NOW - DAY, "1.0", 1, [])


def concerns(scrape: Scrape = WELL, **facts: Any) -> list[Concern]:
    return list(Rules().concerns(AlertFacts(scrape, 21 * DAY, **facts), 0.0))


def one(scrape: Scrape = WELL, **facts: Any) -> tuple[str, str, str]:
    """Kind, subject and urgency of the only concern."""
    (found,) = concerns(scrape, **facts)
    return str(found.kind), found.subject, str(found.urgency)


def token(condition: str, **more: Any) -> Scrape:
    return replace(WELL, tokens=[TokenScrape("plexi", condition, "CKR_X", 0, 16, 1, {}, None, **more)])


def worker(state: str = "up", failures: Mapping[str, int] | None = None, log: tuple[int, int] = (0, 0)) -> WorkerScrape:
    rows: list[FailureRow] = [
        {"listener": "public", "reason": reason, "count": count} for reason, count in (failures or {}).items()
    ]
    snapshot: Counts = {"failures": rows, "log": [{"dropped": log[0], "errors": log[1]}]}
    server: Any = {"upstream": "chat", "server": "http://10.0.0.1:8000", "state": state}
    return WorkerScrape(0, 4_000, 1.0, 1, snapshot, [server])


def reason(subject: ReadinessSubject, name: str) -> NotReadyReason:
    return NotReadyReason(subject, name, "has no server that takes requests", ("chat.test/",))


def certificate(days_left: float, lifetime: float = 90, *, is_issued: bool = False) -> Scrape:
    end = NOW + days_left * DAY
    facts = CertificateFacts(
        "chat", "ecdsa-p256", ("chat.test",), end, begins_at=end - lifetime * DAY, is_issued=is_issued
    )
    return replace(WELL, certificates=[facts])


def rotation(urgency: int, error: str | None = "the CA is down", **more: Any) -> Scrape:
    return replace(WELL, rotating=[RotationFacts("chat", "ec", urgency, 3, error, **more)])


def test_a_proxy_that_is_well_has_no_concern() -> None:
    well = replace(
        certificate(60),
        tokens=token("well").tokens,
        rotating=rotation(0, None).rotating,
        workers=[worker()],
        unmade_checks=[UnmadeCheck("chat", "http://10.0.0.1:8000", 5, None)],
    )
    assert concerns(well) == []


def test_tokens() -> None:
    assert one(token("pin_refused")) == ("pin_refused", "plexi", "critical")
    for condition in ("unwell", "absent"):
        assert one(token(condition)) == ("token_unusable", "plexi", "serious")
    (found,) = concerns(token("absent"))
    assert found.text == "token plexi cannot be used (absent): CKR_X"
    missing = token("well", missing_keys={"pkcs11:object=chat": ("chat", "files")})
    assert one(missing) == ("key_missing", "pkcs11:object=chat", "serious")
    assert "chat, files" in concerns(missing)[0].text


@pytest.mark.parametrize(
    ("subject", "kind", "urgency"),
    [
        (ReadinessSubject.UPSTREAM, "upstream_down", "critical"),
        (ReadinessSubject.IDENTITY, "identity_unusable", "critical"),
        (ReadinessSubject.WORKER, "worker_away", "serious"),
    ],
)
def test_reasons_against_readiness(subject: ReadinessSubject, kind: str, urgency: str) -> None:
    scrape = replace(WELL, readiness=Readiness((reason(subject, "chat"),)))
    assert one(scrape) == (kind, "chat", urgency)
    assert "(routes chat.test/)" in concerns(scrape)[0].text


def test_a_proxy_that_starts_or_ends_is_no_concern_and_neither_is_a_doubt() -> None:
    starts = Readiness((reason(ReadinessSubject.PROXY, ""),), (reason(ReadinessSubject.UPSTREAM, "chat"),))
    assert concerns(replace(WELL, readiness=starts)) == []


def test_a_server_that_is_down_while_others_serve() -> None:
    down = replace(WELL, workers=[worker("down"), worker("down")])
    assert one(down) == ("server_down", "chat http://10.0.0.1:8000", "warning")
    assert concerns(replace(WELL, workers=[worker("down"), worker("up")])) == []
    none_left = replace(down, readiness=Readiness((reason(ReadinessSubject.UPSTREAM, "chat"),)))
    assert one(none_left) == ("upstream_down", "chat", "critical"), "the server alone is not a second alert"


def test_checks_that_cannot_be_made() -> None:
    unmade = [UnmadeCheck("chat", f"http://10.0.0.{last}:8000", 5, "Too many open files") for last in (1, 2)]
    found = concerns(replace(WELL, unmade_checks=unmade))
    assert {one.key for one in found} == {(AlertKind.HEALTH_CHECKS_NOT_MADE, "chat")}


@pytest.mark.parametrize(
    ("days_left", "lifetime", "urgency"),
    [
        (21.1, 90, None),
        (20.9, 90, AlertUrgency.WARNING),
        (6.9, 90, AlertUrgency.SERIOUS),
        (2.0, 90, AlertUrgency.CRITICAL),
        (-1.0, 90, AlertUrgency.CRITICAL),
        (2.0, 6, None),  # a quarter of six days is one and a half
        (1.4, 6, AlertUrgency.WARNING),
        (0.4, 6, AlertUrgency.SERIOUS),
        (0.1, 6, AlertUrgency.CRITICAL),
        (300, 3_650, None),
    ],
)
def test_certificates_from_files(days_left: float, lifetime: float, urgency: AlertUrgency | None) -> None:
    found = concerns(certificate(days_left, lifetime))
    assert [one.urgency for one in found] == ([] if urgency is None else [urgency])
    assert all(one.key == (AlertKind.CERTIFICATE_EXPIRING, "chat ecdsa-p256") for one in found)


@pytest.mark.parametrize(
    ("days_left", "text"),
    [
        (2.0, "expires in 2 d, on 2026-06-03T12:00:00Z"),
        (1.5, "expires in 36 h, on 2026-06-03T00:00:00Z"),
        (0.02, "expires in 29 min, on 2026-06-01T12:28:48Z"),
        (-1.0, "has expired, on 2026-05-31T12:00:00Z"),
    ],
)
def test_it_is_said_how_much_time_is_left(days_left: float, text: str) -> None:
    (found,) = concerns(certificate(days_left))
    assert found.text == f"the ecdsa-p256 certificate of chat {text}"


@pytest.mark.parametrize(
    ("hours_left", "urgency"),
    [(43, None), (41, AlertUrgency.WARNING), (13, AlertUrgency.SERIOUS), (4, AlertUrgency.CRITICAL)],
)
def test_revocation_lists_of_a_week(hours_left: float, urgency: AlertUrgency | None) -> None:
    end = NOW + hours_left * DAY / 24
    found = concerns(replace(WELL, revocations=[RevocationFacts("chat", end - 7 * DAY, end)]))
    assert [(one.kind, one.subject, one.urgency) for one in found] == (
        [] if urgency is None else [(AlertKind.REVOCATIONS_EXPIRING, "chat", urgency)]
    )


def test_an_expired_list_is_said_to_shut_clients_out() -> None:
    (found,) = concerns(replace(WELL, revocations=[RevocationFacts("chat", NOW - 8 * DAY, NOW - DAY)]))
    assert found.urgency is AlertUrgency.CRITICAL
    assert found.text == ("a revocation list of chat has expired, and its clients are refused: 2026-05-31T12:00:00Z")


def test_an_authority_without_a_list_and_a_lenient_identity() -> None:
    (found,) = concerns(replace(WELL, revocations=[RevocationFacts("chat", 0.0, 0.0, "http://a/: refused")]))
    assert found.urgency is AlertUrgency.CRITICAL
    assert found.text == (
        "an authority of chat has no revocation list, and its clients are refused (http://a/: refused)"
    )
    late = RevocationFacts("chat", NOW - 8 * DAY, NOW - DAY, is_lenient=True)
    (found,) = concerns(replace(WELL, revocations=[late]))
    assert found.text.startswith("a revocation list of chat has expired, and its clients may be revoked: ")


def test_a_list_of_ours_that_is_not_renewed() -> None:
    end = NOW + DAY
    (found,) = concerns(replace(WELL, published_lists=[RevocationFacts("internal", end - 7 * DAY, end, "no token")]))
    assert (found.kind, found.subject, found.urgency) == (
        AlertKind.PUBLISHED_LIST_EXPIRING, "internal", AlertUrgency.WARNING,
    )  # fmt: skip
    assert found.text == (
        "the revocation list of issuer internal expires in 24 h and is not renewed (no token): 2026-06-02T12:00:00Z"
    )
    (none,) = concerns(replace(WELL, published_lists=[RevocationFacts("internal", 0.0, 0.0, "no token")]))
    assert none.text == "issuer internal has no revocation list (no token)"
    fresh = RevocationFacts("internal", NOW, NOW + 7 * DAY)
    assert concerns(replace(WELL, published_lists=[fresh])) == []
    (late,) = concerns(replace(WELL, published_lists=[RevocationFacts("internal", NOW - 8 * DAY, NOW - DAY)]))
    assert late.text.startswith("the revocation list of issuer internal has expired and is not renewed: ")


def test_a_certificate_that_nobody_here_has_ordered() -> None:
    seen = UnknownCertificate("https://ct.test/", ("chat.test", "*.test"), "CN=CA", "1f", NOW + DAY)
    (found,) = concerns(replace(WELL, unknown_certificates=[seen]))
    assert found.key == (AlertKind.UNKNOWN_CERTIFICATE, "1f")
    assert found.text == (
        "https://ct.test/ has a certificate for chat.test, *.test with a key that is none of ours: "
        "serial 1f, issued by CN=CA, valid until 2026-06-02T12:00:00Z"
    )


def test_of_many_unknown_certificates_the_first_have_alerts_of_their_own() -> None:
    seen = [UnknownCertificate("https://ct.test/", ("a.test",), "CN=CA", f"{one:x}", NOW + DAY) for one in range(25)]
    found = concerns(replace(WELL, unknown_certificates=seen))
    assert [one.subject for one in found] == [*(one.serial for one in seen[:20]), "more"]
    assert found[-1].text == "logs have 5 more certificates for your names with keys that are none of ours"
    assert len(concerns(replace(WELL, unknown_certificates=seen[:20]))) == 20


def test_a_log_that_cannot_be_read() -> None:
    read = WatchedLog("https://a.test/", 5, 7)
    failing = WatchedLog("https://b.test/", 5, 5, "refused", NOW - 6 * 3_600)
    later = WatchedLog("https://c.test/", 5, 5, "refused", NOW - 6 * 3_600 + 1)  # logs fail for a while, now and then
    (found,) = concerns(replace(WELL, watched_logs=[read, failing, later]))
    assert found.key == (AlertKind.LOG_NOT_READ, "https://b.test/")
    assert found.text == "the log https://b.test/ cannot be read: refused"


def test_certificates_that_rotate_are_judged_by_their_rotation() -> None:
    assert concerns(certificate(1, is_issued=True)) == []


def test_a_certificate_of_the_future() -> None:
    assert one(certificate(91, 90)) == ("certificate_not_yet_valid", "chat ecdsa-p256", "serious")


def test_rotations_that_fail() -> None:
    assert concerns(rotation(1)) == [], "single failures are normal"
    assert concerns(rotation(4, None)) == [], "the first attempt is in flight"
    for urgency, expected in ((2, "warning"), (3, "serious"), (4, "critical")):
        assert one(rotation(urgency)) == ("rotation_failing", "chat ec", expected)
    assert one(rotation(0, is_refused=True)) == ("rotation_refused", "chat ec", "serious")
    assert one(rotation(0, None, unrevoked="the CA is down")) == ("revocation_failed", "chat ec", "critical")


@pytest.mark.parametrize(
    ("days_left", "urgency"),
    [(29, AlertUrgency.WARNING), (7, AlertUrgency.SERIOUS), (1, AlertUrgency.CRITICAL), (-1, AlertUrgency.CRITICAL)],
)
def test_a_configuration_that_names_a_sealing_key_of_before(days_left: int, urgency: AlertUrgency) -> None:
    facts = SealingFacts("sealing.aes-256.v2", previous_until=NOW + days_left * DAY, is_previous=True)
    (found,) = concerns(replace(WELL, sealing=facts))
    assert (found.key, found.urgency) == ((AlertKind.SEALING_KEY_REPLACED, "sealing"), urgency)
    assert "was replaced by sealing.aes-256.v2" in found.text
    assert concerns(replace(WELL, sealing=replace(facts, is_previous=False))) == []


def test_what_is_sealed_and_could_not_be_renewed() -> None:
    (found,) = concerns(replace(WELL, sealing=SealingFacts("sealing.key", error="No space left on device")))
    assert (found.key, found.urgency) == ((AlertKind.SEALING_NOT_RENEWED, "sealing"), AlertUrgency.WARNING)
    assert found.text.endswith("No space left on device")


def test_the_surroundings() -> None:
    assert one(shortage="5 descriptors are left") == ("descriptors_short", "parent", "serious")
    assert one(unwritable={"/state": "No space left"}) == ("state_not_writable", "/state", "serious")
    assert one(clock_jump=7_300.0) == ("clock_jumped", "clock", "warning")
    assert "forward by 2 h" in concerns(clock_jump=7_300.0)[0].text
    assert "back by 1 min" in concerns(clock_jump=-60.0)[0].text


@pytest.mark.parametrize(
    ("backup", "text"),
    [
        (BackupFacts("/b", NOW - 3 * DAY, 2 * DAY), "the newest backup is 3 d old"),
        (BackupFacts("/b", None, 2 * DAY), "/b has no backup of this configuration"),
        (
            BackupFacts("/b", None, 2 * DAY, "it does not answer"),
            "/b has no backup of this configuration: it does not answer",
        ),
    ],
)
def test_a_backup_that_is_old_or_missing(backup: BackupFacts, text: str) -> None:
    scrape = replace(WELL, backup=backup)
    assert one(scrape) == ("backup_old", "/b", "serious")
    assert concerns(scrape)[0].text == text


AWAY = FleetFacts("edge-1", "no answer", FleetFault.STORE)


@pytest.mark.parametrize(
    ("left", "urgency", "text"),
    [
        (18 * 3_600, "warning", "the store of the fleet: no answer; planned for 18 h: session ticket keys"),
        (6 * 3_600, "serious", "the store of the fleet: no answer; planned for 6 h: session ticket keys"),
        (3_600, "critical", "the store of the fleet: no answer; planned for 60 min: session ticket keys"),
        (-3_600.0, "critical", "the store of the fleet: no answer; planned for 0 min: session ticket keys"),
        (None, "serious", "the store of the fleet: no answer; this node has not joined"),
    ],
)
def test_a_fleet_whose_store_is_away_while_what_is_planned_ends(left: float | None, urgency: str, text: str) -> None:
    planned = {} if left is None else {"session ticket keys": NOW + left, "rings": NOW + 80 * 3_600}
    scrape = replace(WELL, fleet=replace(AWAY, planned=planned))
    assert one(scrape) == ("fleet_away", "edge-1", urgency)
    assert concerns(scrape)[0].text == text


@pytest.mark.parametrize(
    ("left", "urgency", "text"),
    [
        (18 * 3_600, "warning", "planned for 18 h: session ticket keys"),
        (3_600, "critical", "planned for 60 min: session ticket keys"),
    ],
)
@pytest.mark.parametrize("leader", [None, "edge-9"])
def test_a_fleet_that_nobody_leads_while_its_store_answers(
    left: float, urgency: str, text: str, leader: str | None
) -> None:
    """Rings that rotate each hour are planned for an hour, and that is well."""
    fleet = FleetFacts("edge-1", planned={"session ticket keys": NOW + left, "rings": NOW + 3_600}, leader=leader)
    scrape = replace(WELL, fleet=fleet)
    assert one(scrape) == ("fleet_away", "edge-1", urgency)
    assert concerns(scrape)[0].text == f"no leader plans for the fleet; its store names {leader or 'none'}; {text}"
    planned = {"session ticket keys": NOW + 19 * 3_600, "rings": NOW + 3_600}
    assert concerns(replace(WELL, fleet=replace(fleet, planned=planned))) == []


def test_an_outage_alone_is_no_concern_while_enough_is_planned() -> None:
    assert concerns(replace(WELL, fleet=replace(AWAY, planned={"session ticket keys": NOW + 19 * 3_600}))) == []


def test_a_certificate_that_nobody_can_order_ends_first() -> None:
    """One from a file of the operator is no matter of the fleet."""
    fleet = replace(AWAY, planned={"session ticket keys": NOW + 30 * 3_600})
    for is_issued in (True, False):
        certificate = CertificateFacts("chat", "ecdsa-p256", (), NOW + 5 * 3_600, is_issued=is_issued)
        found = concerns(replace(WELL, fleet=fleet, certificates=[certificate]))
        told = [one.text for one in found if one.kind is AlertKind.FLEET_AWAY]
        text = "the store of the fleet: no answer; planned for 5 h: the certificate of chat"
        assert told == ([text] if is_issued else [])


@pytest.mark.parametrize(("kind", "told"), [(FleetFault.CLOCK, "fleet_clock"), (FleetFault.RESTORED, "fleet_restored")])
def test_a_clock_that_differs_and_a_restored_store_are_concerns_at_once(kind: FleetFault, told: str) -> None:
    fleet = replace(AWAY, kind=kind, planned={"session ticket keys": NOW + 30 * 3_600})
    assert one(replace(WELL, fleet=fleet)) == (told, "edge-1", "serious")


def test_the_leader_names_nodes_with_another_configuration() -> None:
    fleet = FleetFacts("edge-1", is_leading=True, others={"edge-2": "d1" * 32})
    assert one(replace(WELL, fleet=fleet)) == ("fleet_configuration", "edge-2", "warning")
    assert concerns(replace(WELL, fleet=replace(fleet, is_leading=False))) == []


def test_an_audit_log_that_was_changed_is_a_concern_for_a_day() -> None:
    fleet = FleetFacts("edge-1", broken_logs={"edge-2": (NOW - DAY + 1, "it has 6 lines, and had 7")})
    assert one(replace(WELL, fleet=fleet)) == ("fleet_log_broken", "edge-2", "serious")
    fleet = replace(fleet, broken_logs={"edge-2": (NOW - DAY, "it has 6 lines, and had 7")})
    assert concerns(replace(WELL, fleet=fleet)) == []


def test_a_backup_of_yesterday_is_well() -> None:
    assert concerns(replace(WELL, backup=BackupFacts("/b", NOW - DAY, 2 * DAY))) == []


@pytest.mark.parametrize(
    ("scrape", "expected"),
    [
        (replace(WELL, workers=[worker(log=(3, 0))]), ("log_lines_lost", "log", "serious")),
        (replace(WELL, log_losses=(0, 2)), ("log_lines_lost", "log", "serious")),
        (replace(WELL, audit={"written": 5, "lost": 1}), ("audit_lines_lost", "audit", "critical")),
        (replace(WELL, audit={"unsigned": 1}), ("audit_unsigned", "audit", "warning")),
        (
            replace(WELL, workers=[worker(failures={"out_of_descriptors": 2, "timeout": 9})]),
            ("descriptors_short", "workers", "serious"),
        ),
        (
            replace(WELL, retained=part(worker(failures={"out_of_memory": 2}).snapshot)),
            ("memory_short", "workers", "serious"),
        ),
    ],
)
def test_counters_that_grow(scrape: Scrape, expected: tuple[str, str, str]) -> None:
    rules = Rules()
    facts = AlertFacts(scrape, DAY)
    (found,) = rules.concerns(facts, 0.0)
    assert (str(found.kind), found.subject, str(found.urgency)) == expected
    assert len(list(rules.concerns(facts, 599.0))) == 1
    assert list(rules.concerns(facts, 600.0)) == []
