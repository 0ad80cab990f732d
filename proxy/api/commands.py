"""Answers to commands about the whole proxy, its servers, routes, alerts, and rings. Pure."""

from typing import NotRequired, TypedDict

from config.values.problems import ProblemRow
from proxy.api.status import AlertRow
from proxy.payload.keys.keyring import RingKeyRow


class ChangeRow(TypedDict):
    """A value of the configuration that differs, see `config.diff.Change`."""

    key: str
    kind: str
    old: str | None
    new: str | None
    effect: str


class ReloadDocument(TypedDict):
    """`POST /reload`. `generation` is the number of the configuration that serves now."""

    ok: bool
    changes: list[ChangeRow]
    problems: list[ProblemRow]
    generation: int
    dry_run: bool


class UpgradeLine(TypedDict, total=False):
    """A line of `POST /upgrade`. Which keys it has depends on its step; the last one has `ok`."""

    ok: bool
    step: str
    program: str
    pid: int
    version: str
    sockets: int
    workers: object
    """How many serve, as the new version says."""
    phase: str
    reason: str
    problems: list[ProblemRow]
    serves: bool
    """Whether this version continues."""


class DrainDocument(TypedDict):
    """`POST /upstreams/UPSTREAM/SERVER/drain`, and `undrain`."""

    upstream: str
    server: str
    draining: bool
    warning: NotRequired[str]


class WorkerKeyRow(TypedDict):
    """Whether a worker uses a key and can sign with it; None if it did not answer."""

    slot: int
    pid: int
    is_used: bool | None
    signs: bool | None


class KeyTrialDocument(TypedDict):
    """`POST /keys/try`. `uses` are the paths in the configuration that use the key."""

    uses: list[str]
    workers: list[WorkerKeyRow]


class MaintainedRow(TypedDict):
    """A route that is out of service since then, in UNIX seconds."""

    route: str
    since: float
    retry_after: int
    """Seconds until clients may come again."""
    page: bool
    """Whether it has a page of its own."""
    allowed: list[str]
    """Networks that are served anyway."""
    is_configured: bool
    is_of_fleet: bool
    """Whether it is out of service on all nodes of the fleet."""
    warning: NotRequired[str]
    """Of an answer to `POST /maintenance/on`."""


class MaintenanceDocument(TypedDict):
    """`GET /maintenance`."""

    routes: list[MaintainedRow]


class MaintenanceEnd(TypedDict):
    """`POST /maintenance/off`."""

    route: str
    warning: NotRequired[str]


class WaitingRow(AlertRow):
    """What becomes an alert if it lasts `alert_in_seconds` longer."""

    alert_in_seconds: float


class AlertsDocument(TypedDict):
    """`GET /alerts`."""

    alerts: list[AlertRow]
    waiting: list[WaitingRow]


class ReceiverRow(TypedDict):
    """What a receiver did with a test alert. `detail` is the reason of a failure."""

    receiver: str
    to: str
    ok: bool
    detail: str | None


class AlertTestDocument(TypedDict):
    """`POST /alerts/test`."""

    ok: bool
    receivers: list[ReceiverRow]


class RingRow(TypedDict):
    name: str
    keys: list[RingKeyRow]


class RingsDocument(TypedDict):
    """`GET /payload`."""

    rings: list[RingRow]


class RingChange(TypedDict):
    ring: str
    version: int
    state: str


class ExportedKeyRow(TypedDict):
    """A key of a ring, with its secret in base64url."""

    version: int
    state: str
    key: str


class ExportDocument(TypedDict):
    """`GET /payload/RING/export`: secret."""

    ring: str
    bind: bool
    envelope: str
    max_age_seconds: float
    keys: list[ExportedKeyRow]


class RingTrialRow(TypedDict):
    """What became of one key that was tried. `fault` is None if the key works."""

    ring: str
    version: int
    state: str
    fault: str | None


class RingTrialsDocument(TypedDict):
    """`GET /payload-test`."""

    keys: list[RingTrialRow]
