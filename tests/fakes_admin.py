"""Stand-ins for the parent process behind the admin server: a scrape from counters that were fed, and a `Control`."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from config.values.pkcs11_uri import Pkcs11Uri
from proxy.admin.requests.contracts import Control, ReloadReport
from proxy.admin.requests.problems import CommandRefused
from proxy.admin.requests.wishes import MaintenanceWish, RotationWish
from proxy.admin.server import AdminHost
from proxy.downstream.service.response_buffer import ResponseBudget
from proxy.http.websocket.close import ClosedBy, WebSocketClose
from proxy.http2.wire.causes import ResetCause
from proxy.observe.adoption import Adoption
from proxy.observe.alert import Concern, OpenAlert
from proxy.observe.alert_kinds import AlertKind, AlertUrgency
from proxy.observe.counts.counters import Counters
from proxy.observe.counts.merging import Retained
from proxy.observe.history.history import History
from proxy.observe.logs.access_log import ClientRecord, RequestRecord
from proxy.observe.readiness import READY, Readiness
from proxy.observe.scrape import (
    CertificateFacts,
    ConfigurationFacts,
    FleetFacts,
    Http3Facts,
    ListenerFacts,
    MaintenanceFacts,
    RevocationFacts,
    RotationFacts,
    Scrape,
    SealingFacts,
    TokenScrape,
    UnmadeCheck,
    WatchedLog,
    WorkerScrape,
)
from proxy.payload.messages.causes import Cause
from proxy.tls.handshake.group_choice import HandshakeOutcome
from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.handshake.results import Established
from proxy.tls.openssl.context import ServerContext, build_alert_context
from proxy.tls.wire.groups import KNOWN

# Noon of 1 June 2026.
NOW = 1_780_315_200.0
DAY = 86_400.0
_CONTEXT = ServerContext(build_alert_context())
CHAT = ServerIdentity("chat", frozenset({"chat.test", "*.chat.test"}), _CONTEXT)
FILES = ServerIdentity("files", frozenset({"files.test"}), _CONTEXT)
HYBRID = Established(
    "chat.test", CHAT, KNOWN["x25519mlkem768"], HandshakeOutcome.HYBRID, is_resumed=False, signing_seconds=0.0003
)
RESUMED = replace(HYBRID, is_resumed=True, signing_seconds=None)
RETRIED = replace(HYBRID, outcome=HandshakeOutcome.HYBRID_AFTER_RETRY, identity=FILES)
CLASSICAL = replace(HYBRID, group=KNOWN["x25519"], outcome=HandshakeOutcome.CLIENT_CANNOT, breaks_under_require=True)
CLIENT = ClientRecord(
    "192.0.2.1", "public", "chat.test", "X25519MLKEM768", "hybrid", resumed=False, protocol="http/1.1"
)
REQUEST = RequestRecord(
    CLIENT, None, NOW, 200, 100, 2_000, 0.004, 0.02, "http://10.0.0.1:8000", "chat.test/", "id", None, None
)
DOWN = OpenAlert(
    Concern(
        AlertKind.UPSTREAM_DOWN,
        "chat",
        AlertUrgency.CRITICAL,
        "upstream chat has no server that takes requests",
    ),
    NOW - 60,
    1,
)
OLD_AGENT = b"OldChat/1.4 (Windows NT 6.1)"


def fed(times: int = 1) -> Counters:
    """What a worker has counted after a little of everything, `times` over; three of ten handshakes are classical."""
    counters = Counters(lambda: (2 * times, 1))
    for number in range(times):
        for result in (*[HYBRID] * 5, RESUMED, RETRIED):
            counters.established("public", result, 0.003)
        for host in range(3):
            counters.established("public", CLASSICAL, 0.002)
            counters.breaking.add(
                "public", "chat.test", f"192.0.2.{host}", [(b"User-Agent", OLD_AGENT if host else b"curl/7.68.0")]
            )
        counters.refused("strict", None)
        counters.failure("strict", "pq_policy")
        counters.failure("public", "timeout")
        for code in (200, 200, 201, 304, 404, 502):
            counters.request(replace(REQUEST, status=code))
        counters.request(replace(REQUEST, status=421, route=None, upstream=None))
        counters.request(
            replace(
                REQUEST, status=101, duration=3_600.0, messages=(4, 9), closed=WebSocketClose(4004, ClosedBy.SERVER)
            )
        )
        counters.listener("strict").accepted += 1
        counters.listener("public").accepted += 11
        counters.loop_lag.observe(0.0004 if number else 0.003)
        token = counters.token("plexi")
        token.signing_seconds.observe(0.004)
        token.wait_seconds.observe(0.0002)
        token.errors += 1
    counters.listener("public").open = 4
    counters.listener("public").http2.resets[ResetCause.CLIENT] = times
    http3 = counters.listener("public").http3
    http3.connections, http3.connections_open = 2 * times, 1
    socket = counters.route("chat.test/gateway")
    socket.websockets, socket.websockets_open = 3 * times, 2
    socket.from_client.messages, socket.from_client.bytes = 40 * times, 4_000 * times
    socket.to_client.messages, socket.to_client.bytes = 90 * times, 18_000 * times
    messages = socket.messages("chat")
    messages.opened, messages.sealed = 30 * times, 20 * times
    socket.payload_refusals[Cause.EXPIRED] = 2 * times
    relay = counters.listener("public").tcp
    relay.connections, relay.connections_open = 6 * times, 1
    relay.from_client.bytes, relay.to_client.bytes = 700 * times, 9_000 * times
    relay.ends["closed"] = 5 * times
    relay.groups["X25519MLKEM768"] = times
    counters.swaps = 1
    return counters


def server(name: str = "http://10.0.0.1:8000", state: str = "up", **figures: float) -> Any:
    """The statistics of a server of `chat`."""
    usual = {"open": 3, "idle": 1, "dialling": 0, "waiting": 0, "requests": 50, "websockets": 2}
    rest = {"failures": 1, "ejections": 0, "wait_seconds": 0.25}
    http2 = {"streams_open": 1, "http2_requests": 20, "http2_goaways": 2, "http2_refused": 3}
    return {"upstream": "chat", "server": name, "state": state, **usual, **rest, **http2, **figures}


def tokens(youngest: float = 0.0) -> Any:
    """What `Tokens.rows` reports one token."""
    figures = {"queued": 3, "running": 2, "lost": 1, "sessions": 4, "threads": 3}
    return {
        "token_figures": [{"token": "plexi", **figures}],
        "token_states": [{"token": "plexi", "state": "closed", "count": 1}],
        "token_good": [{"token": "plexi", "youngest": youngest}],
    }


def worker(slot: int, counters: Counters, servers: Sequence[Any] | None = None) -> WorkerScrape:
    """A worker whose snapshot came over the control channel."""
    return WorkerScrape(
        slot=slot,
        pid=4_000 + slot,
        age_seconds=7_260.0 + slot,
        generation=2,
        snapshot=json.loads(
            json.dumps(
                {
                    **counters.snapshot(),
                    "response_buffer": [ResponseBudget().row()],
                    "spool": [ResponseBudget().row()],
                    **tokens(float(slot)),
                }
            )
        ),
        servers=[server(), server("http://10.0.0.2:8000", "ejected", ejections=1)] if servers is None else servers,
        rss_bytes=61_000_000 + slot,
    )


def scrape(*workers: WorkerScrape, retained: Retained | None = None) -> Scrape:
    """A whole proxy: two workers unless others are given."""
    return Scrape(
        now=NOW,
        started_at=NOW - 3 * DAY,
        version="0.1.0",
        generation=2,
        workers=workers or (worker(0, fed()), worker(1, fed(3))),
        listeners=(
            ListenerFacts(
                "public", ("0.0.0.0:443", "[::]:443"), "prefer", "X25519MLKEM768 / X25519", Http3Facts(443, None)
            ),
            ListenerFacts("strict", ("0.0.0.0:8443",), "require", "X25519MLKEM768"),
        ),
        certificates=(
            CertificateFacts("chat", "ecdsa-p256", ("chat.test", "*.chat.test"), NOW + 60.5 * DAY),
            CertificateFacts("chat", "mldsa-65", ("chat.test", "*.chat.test"), NOW + 6 * DAY),
            CertificateFacts("files", "ecdsa-p256", ("files.test",), NOW - DAY),
        ),
        revocations=(RevocationFacts("chat", NOW - DAY, NOW + 2 * DAY),),
        watched_logs=(WatchedLog("https://ct.test/", 7, 9),),
        published_lists=(RevocationFacts("internal", NOW - DAY, NOW + 6 * DAY, "no token"),),
        tokens=(TokenScrape("plexi", "well", "", 1, 16, 5, {"CKR_DEVICE_ERROR": 2}, 3.5),),
        audit={"written": 5, "lost": 1, "errors": 2, "unsigned": 1},
        restarts=1,
        reloads={"ok": 1, "failed": 2},
        retained=None if retained is None else retained.snapshot,
        rotations={"ok": 7, "failed": 1},
        rotating=(RotationFacts("chat", "ec", 1, 0), RotationFacts("chat", "mldsa-65", 3, 4)),
        unmade_checks=(
            UnmadeCheck("chat", "http://10.0.0.1:8000", 7, "Too many open files"),
            UnmadeCheck("chat", "http://10.0.0.2:8000", 2, None),
        ),
        alerts=(DOWN,),
        alert_deliveries={("webhook", "ok"): 3, ("webhook", "failed"): 1},
        maintenance=(MaintenanceFacts("chat.test/", NOW - 90.0),),
        sealing=SealingFacts(
            "sealing.key", NOW - 200_000.0, keys_since={"tickets": NOW - 90_000.0, "acme": NOW - 100.0}
        ),
        configuration=ConfigurationFacts("/etc/plexigate/plexigate.toml", "ab" * 32, NOW - 3 * DAY),
        fleet=FleetFacts(
            "edge-1", planned={"session ticket keys": NOW + DAY}, members=2, alive=2, revision=7, epoch=1, skew=-0.25
        ),
        pid=3_999,
    )


def host_of(
    errors: list[BaseException],
    told: list[tuple[dict[str, Any], str]] | None = None,
    is_short: Callable[[], bool] = lambda: False,
) -> AdminHost:
    """The process around an admin server, which notes internal errors and events."""
    events = [] if told is None else told
    return AdminHost(errors.append, lambda event: events.append((event.as_json(), event.sentence())), is_short)


@dataclass
class FakePayload:
    """Rings of a parent that remembers what it was told."""

    told: list[tuple[Any, ...]] = field(default_factory=list)
    error: Exception | None = None
    """What the next call fails with."""

    def _tell(self, *call: Any) -> None:
        self.told.append(call)
        if self.error is not None:
            raise self.error

    async def listed(self) -> Any:
        """One ring."""
        self._tell("list")
        key = {"version": 2, "state": "active", "created": NOW, "ended": None, "uses": 12_345}
        old = {"version": 1, "state": "revoked", "created": NOW - DAY, "ended": NOW, "uses": 3}
        return {"rings": [{"name": "chat", "keys": [key, old]}]}

    async def rotate(self, ring: str) -> Any:
        """Answer the version after that."""
        self._tell("rotate", ring)
        return {"ring": ring, "version": 3, "state": "active"}

    async def retire(self, ring: str, version: int) -> Any:
        """Remember it."""
        self._tell("retire", ring, version)
        return {"ring": ring, "version": version, "state": "retired"}

    async def revoke(self, ring: str, version: int) -> Any:
        """Remember it."""
        self._tell("revoke", ring, version)
        return {"ring": ring, "version": version, "state": "revoked"}

    async def exported(self, ring: str) -> Any:
        """Two keys."""
        self._tell("export", ring)
        keys = [{"version": 2, "state": "active", "key": "b2"}, {"version": 1, "state": "valid", "key": "b1"}]
        return {"ring": ring, "bind": False, "envelope": "none", "max_age_seconds": 60.0, "keys": keys}

    async def tested(self) -> Any:
        """One key that works."""
        return {"keys": [{"ring": "chat", "version": 2, "state": "active", "fault": None}]}

    async def identity(self) -> dict[str, str]:
        """Something to pin."""
        self._tell("identity")
        return {"ecdsa-p256-sha256": "AA", "ml-dsa-65": "BB"}

    async def replace_identity(self) -> dict[str, str]:
        """Something else to pin."""
        self._tell("replace identity")
        return {"ecdsa-p256-sha256": "CC", "ml-dsa-65": "DD"}


@dataclass
class FakeAlerts:
    """Alerts that are given, and receivers with their answers."""

    alerts: list[Any] = field(default_factory=lambda: [DOWN.as_json()])
    waiting: list[Any] = field(default_factory=list)
    receivers: list[Any] = field(default_factory=list)

    async def listed(self) -> Any:
        """Answer what was prepared."""
        return {"alerts": self.alerts, "waiting": self.waiting}

    async def test(self) -> Any:
        """Answer what was prepared."""
        return {"ok": bool(self.receivers) and all(one["ok"] for one in self.receivers), "receivers": self.receivers}


@dataclass
class FakeMaintenance:
    """A list of routes in maintenance of a parent that remembers what it was told."""

    told: list[Any] = field(default_factory=list)
    routes: list[Any] = field(default_factory=list)
    warning: dict[str, str] = field(default_factory=dict)
    """Of each answer."""
    error: Exception | None = None
    """What the next call fails with."""

    def _tell(self, call: Any) -> None:
        self.told.append(call)
        if self.error is not None:
            raise self.error

    def listed(self) -> Any:
        """Answer what was prepared."""
        return {"routes": self.routes}

    async def begin(self, wish: MaintenanceWish) -> Any:
        """Remember it."""
        self._tell(wish)
        return {"route": wish.route, "retry_after": int(wish.retry_after or 300), **self.warning}

    async def end(self, route: str, *, for_fleet: bool = False) -> Any:
        """Remember it."""
        self._tell((route, "fleet") if for_fleet else route)
        return {"route": route, **self.warning}


@dataclass
class FakeUpgrade:
    """An upgrade with the steps that were prepared."""

    told: list[tuple[str | None, float | None]] = field(default_factory=list)
    steps: list[Any] = field(default_factory=lambda: [{"step": "started"}, {"ok": True}])
    why_nothing_changes: str | None = None
    error: Exception | None = None
    """What the next call fails with."""

    async def upgrade(self, program: str | None, seconds: float | None) -> AsyncIterator[Any]:
        """Tell the steps."""
        self.told.append((program, seconds))
        if self.error is not None:
            raise self.error
        for one in self.steps:
            yield one


@dataclass
class FakeFleet:
    """A membership that remembers what it was told."""

    told: list[tuple[str, ...]] = field(default_factory=list)
    document: Any = field(
        default_factory=lambda: {
            "node": "edge-1",
            "key": "a1" * 16,
            "epoch": 1,
            "is_expelled": False,
            "leader": "edge-1",
            "is_leading": True,
            "revision": 7,
            "fault": None,
            "tickets_until": NOW + DAY,
            "skew": -0.25,
            "members": [
                {
                    "node": "edge-1",
                    "key": "a1" * 16,
                    "since": NOW,
                    "by": "",
                    "alive": True,
                    "version": "0.1.0",
                    "schema": 1,
                    "configuration": "c1" * 32,
                    "differs": False,
                    "log_fault": None,
                },
                {
                    "node": "edge-3",
                    "key": "c3" * 16,
                    "since": NOW,
                    "by": "edge-1",
                    "alive": False,
                    "version": None,
                    "schema": None,
                    "configuration": None,
                    "differs": False,
                    "log_fault": None,
                },
            ],
            "requests": [{"node": "edge-2", "key": "b2" * 16, "since": None, "by": ""}],
            "recoverable": ["edge-1"],
        }
    )
    error: Exception | None = None
    """What the next call fails with."""
    faults: dict[str, str | None] = field(default_factory=lambda: {"edge-1": None, "edge-3": None})
    """Of a reload."""
    leader: str | None = "edge-3"
    """After the lead was given away."""
    has_committed: bool = True

    def _tell(self, *call: str) -> None:
        self.told.append(call)
        if self.error is not None:
            raise self.error

    async def listed(self) -> Any:
        """Answer what was prepared."""
        self._tell("listed")
        return self.document

    async def invite(self) -> Any:
        """Answer a token."""
        self._tell("invite")
        return {"token": "0123456789abcdef.secret", "seconds": 600}

    async def join(self, token: str) -> Any:
        """Remember it."""
        self._tell("join", token)
        return {"node": "edge-2", "key": "b2" * 16}

    async def approve(self, node: str) -> Any:
        """Remember it."""
        self._tell("approve", node)
        return {"node": node, "key": "b2" * 16, "since": NOW, "by": "edge-1"}

    async def recover(self) -> Any:
        """Answer a member."""
        self._tell("recover")
        return {"node": "edge-4", "key": "d4" * 16, "since": NOW, "by": "edge-1"}

    async def give_lead(self, to: str | None) -> Any:
        """Answer what was prepared."""
        self._tell("leader", to or "")
        return {"node": "edge-1", "leader": self.leader}

    async def reload(self) -> Any:
        """Answer what was prepared."""
        self._tell("reload")
        return {
            "ok": not any(self.faults.values()),
            "committed": self.has_committed,
            "configuration": "c1" * 32,
            "nodes": [{"node": node, "fault": fault} for node, fault in self.faults.items()],
        }

    async def expel(self, node: str) -> Any:
        """Remember it."""
        self._tell("expel", node)
        return {"node": node, "epoch": 2, "required": ["the node knows something: replace it"]}

    async def accept_restore(self) -> Any:
        """Answer what was prepared."""
        self._tell("accept-restore")
        return self.document


@dataclass
class FakeControl:
    """A parent that remembers what it was told."""

    answer: Scrape = field(default_factory=scrape)
    report: ReloadReport = field(default_factory=lambda: ReloadReport(ok=True, changes=[], problems=[], generation=3))
    ready: Readiness = READY
    warning: str | None = None
    """Of a drain."""
    rotating: "FakeRotation" = field(default_factory=lambda: FakeRotation())
    told: list[tuple[Any, ...]] = field(default_factory=list)
    error: Exception | None = None
    """What the next call fails with."""
    payload: FakePayload = field(default_factory=FakePayload)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    maintenance: FakeMaintenance = field(default_factory=FakeMaintenance)
    history: History = field(default_factory=History)
    upgrade: FakeUpgrade = field(default_factory=FakeUpgrade)
    fleet: FakeFleet = field(default_factory=FakeFleet)

    def _tell(self, *call: Any) -> None:
        self.told.append(call)
        if self.error is not None:
            raise self.error

    async def scrape(self) -> Scrape:
        """Answer what was prepared, as the history of the parent sees it too."""
        self._tell("scrape")
        self.history.note(self.answer)
        return self.answer

    async def document(self) -> Any:
        """Answer the days of what was prepared."""
        self._tell("adoption")
        adoption = Adoption()
        adoption.take(self.answer.now, self.answer.workers[0].snapshot, self.answer.listeners)
        return adoption.document(self.answer.now, "fake")

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Answer the prepared report."""
        self._tell("reload", dry_run)
        return self.report

    async def drain(self, upstream: str, server: str, seconds: float | None, *, for_fleet: bool = False) -> Any:
        """Remember it, if there is such a server."""
        self._tell("drain", upstream, server, seconds, *["fleet"] * for_fleet)
        self._find(upstream, server)
        told = {} if self.warning is None else {"warning": self.warning}
        return {"upstream": upstream, "server": server, "draining": True, **told}

    async def undrain(self, upstream: str, server: str, *, for_fleet: bool = False) -> Any:
        """Remember it, if there is such a server."""
        self._tell("undrain", upstream, server, *["fleet"] * for_fleet)
        self._find(upstream, server)
        return {"upstream": upstream, "server": server, "draining": False}

    def _find(self, upstream: str, server: str) -> None:
        known = {f"{one['upstream']}/{one['server']}" for one in self.answer.workers[0].servers}
        if f"{upstream}/{server}" not in known:
            there = ", ".join(sorted(known))
            raise CommandRefused(404, f"upstream {upstream} has no server {server}; there are {there}")

    async def of(self, key: Pkcs11Uri) -> Any:
        """Remember it; nothing uses it."""
        self._tell("try_key", str(key))
        return {"uses": [], "workers": [{"slot": 0, "pid": 4_000, "is_used": False, "signs": False}]}

    async def readiness(self) -> Readiness:
        """Answer what was prepared."""
        return self.ready

    @property
    def parts(self) -> Control:
        """What the admin server asks: most of it is this."""
        return Control(
            figures=self,
            ability=self,
            adopting=self,
            reloads=self,
            upgrade=self.upgrade,
            servers=self,
            keys=self,
            alerts=self.alerts,
            maintenance=self.maintenance,
            rotation=self.rotating,
            payload=self.payload,
            fleet=self.fleet,
        )


@dataclass
class FakeRotation:
    """A rotation with one credential, chat, whose steps are given."""

    steps: list[Any] = field(default_factory=lambda: [{"step": "begun"}, {"ok": True}])
    results: list[Any] = field(default_factory=lambda: [{"ok": True, "version": 1}])
    listed: list[Any] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    told: list[tuple[Any, ...]] = field(default_factory=list)
    is_running: bool = False
    urgent: str = "calm"

    def urgency(self) -> str:
        """Answer what was prepared."""
        return self.urgent

    def certificates(self) -> list[Any]:
        """Answer what was prepared."""
        return self.listed

    async def rotate_certificate(self, identity: str, slot: str | None, wish: RotationWish) -> AsyncIterator[Any]:
        """Answer the prepared steps."""
        self.told.append(("rotate", identity, slot, wish))
        self._find(identity, slot)
        for step in self.steps:
            yield step

    async def roll_back_certificate(self, identity: str, slot: str | None) -> list[Any]:
        """Answer the prepared results."""
        self.told.append(("rollback", identity, slot))
        self._find(identity, slot)
        return self.results

    async def shown(self, identity: str) -> Any:
        """Answer the prepared rows."""
        self._find(identity, None)
        return {"shown": self.rows}

    def _find(self, identity: str, slot: str | None) -> None:
        if identity != "chat" or slot not in {None, "ec"}:
            raise CommandRefused(404, f"no identity {identity} rotates automatically; there are chat")
        if self.is_running:
            raise CommandRefused(409, f"the ec credential of {identity} is being rotated now")
