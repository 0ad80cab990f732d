"""What the admin server asks of the process that runs the workers.

Each method that changes something may raise `CommandRefused`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from config.values.pkcs11_uri import Pkcs11Uri
from config.values.problems import ProblemRow
from proxy.admin.requests.wishes import MaintenanceWish, RotationWish
from proxy.api.adoption import AdoptionDocument
from proxy.api.certificates import CertificateRow, RollbackRow, RotationLine, ShownDocument
from proxy.api.commands import (
    AlertsDocument,
    AlertTestDocument,
    ChangeRow,
    DrainDocument,
    ExportDocument,
    KeyTrialDocument,
    MaintainedRow,
    MaintenanceDocument,
    MaintenanceEnd,
    RingChange,
    RingsDocument,
    RingTrialsDocument,
    UpgradeLine,
)
from proxy.api.fleet import (
    ExpelDocument,
    FleetDocument,
    FleetLeadDocument,
    FleetNodeRow,
    FleetReloadDocument,
    InvitationDocument,
    JoinDocument,
)
from proxy.observe.history.history import History
from proxy.observe.readiness import Readiness
from proxy.observe.scrape import Scrape


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What a reload did, or would do. `generation` is the configuration that serves now."""

    ok: bool
    changes: list[ChangeRow]
    problems: list[ProblemRow]
    generation: int


class FigureControl(Protocol):
    async def scrape(self) -> Scrape: ...

    @property
    def history(self) -> History:
        """The figures of the last day."""


class ReadinessControl(Protocol):
    async def readiness(self) -> Readiness:
        """Whether the proxy is ready, and what keeps it from serving."""


class AdoptionControl(Protocol):
    async def document(self) -> AdoptionDocument:
        """The handshakes of the last days: `observe.adoption.Adoption.document`."""


class ReloadControl(Protocol):
    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration again and serve by it. A dry run only says what would change."""


class UpgradeControl(Protocol):
    """The part of the parent that replaces it."""

    @property
    def why_nothing_changes(self) -> str | None:
        """Why other commands are refused now. None if they are not."""

    def upgrade(self, program: str | None, seconds: float | None) -> AsyncIterator[UpgradeLine]:
        """Start the program (None: the installed one) and let it take over, and tell the steps.

        The upgrade has `seconds` until the new program has everything. The last step has `ok`.
        Raises `CommandRefused` before the first one.
        """


class ServerCommands(Protocol):
    async def drain(
        self, upstream: str, server: str, seconds: float | None, *, for_fleet: bool = False
    ) -> DrainDocument:
        """Drain a server: it gets no new requests, and its WebSockets end after `seconds`.

        If `seconds` is None, the configured drain timeout holds. There is a warning if no server of
        the upstream takes requests any more.
        """

    async def undrain(self, upstream: str, server: str, *, for_fleet: bool = False) -> DrainDocument:
        """Send requests to a server again."""


class KeyTrials(Protocol):
    async def of(self, key: Pkcs11Uri) -> KeyTrialDocument:
        """Let each worker try to sign with a key of a token."""


class AlertControl(Protocol):
    async def listed(self) -> AlertsDocument:
        """Look, then return the open alerts, and what may become one."""

    async def test(self) -> AlertTestDocument: ...


class MaintenanceControl(Protocol):
    def listed(self) -> MaintenanceDocument: ...

    async def begin(self, wish: MaintenanceWish) -> MaintainedRow:
        """Take a route out of service in all workers. Returns its entry of the list.

        The entry has a `warning` if a worker did not answer.
        """

    async def end(self, route: str, *, for_fleet: bool = False) -> MaintenanceEnd: ...


class CertificateControl(Protocol):
    """The rotation. If `slot` is None, a method means all credentials of the identity."""

    def urgency(self) -> str:
        """The urgency of the most urgent rotation: calm, due, late, grave or expired."""

    def certificates(self) -> list[CertificateRow]:
        """All issued credentials, see `rotation.listing`."""

    def rotate_certificate(self, identity: str, slot: str | None, wish: RotationWish) -> AsyncIterator[RotationLine]:
        """Rotate, and tell the steps. Raises `CommandRefused` before the first one."""

    async def roll_back_certificate(self, identity: str, slot: str | None) -> list[RollbackRow]:
        """Serve by the previous versions again: all of them or none. Tells the outcome of each."""

    async def shown(self, identity: str) -> ShownDocument:
        """What each worker shows for an identity, see `supervisor.control.inspection`."""


class PayloadControl(Protocol):
    """The keeper of the rings."""

    async def listed(self) -> RingsDocument: ...

    async def rotate(self, ring: str) -> RingChange:
        """Encrypt with a new key from now on."""

    async def retire(self, ring: str, version: int) -> RingChange: ...

    async def revoke(self, ring: str, version: int) -> RingChange: ...

    async def exported(self, ring: str) -> ExportDocument:
        """The secrets that a client needs to use a ring."""

    async def identity(self) -> dict[str, str]:
        """The public keys that sign the keys of sessions."""

    async def replace_identity(self) -> dict[str, str]:
        """Sign the keys of sessions by new keys from now on, and return these."""

    async def tested(self) -> RingTrialsDocument: ...


class FleetControl(Protocol):
    """The membership of this node."""

    async def listed(self) -> FleetDocument: ...

    async def invite(self) -> InvitationDocument: ...

    async def join(self, token: str) -> JoinDocument:
        """Ask to join by the token of an invitation."""

    async def approve(self, node: str) -> FleetNodeRow: ...

    async def recover(self) -> FleetNodeRow:
        """Join as a node whose recovery shares have brought its sealing key to this machine."""

    async def give_lead(self, to: str | None) -> FleetLeadDocument:
        """Let another node lead, or (None) any other one, and wait until it does."""

    async def reload(self) -> FleetReloadDocument:
        """Reload all nodes that are alive, or none."""

    async def expel(self, node: str) -> ExpelDocument: ...

    async def accept_restore(self) -> FleetDocument:
        """Use a store again that has lost changes, as after a restore."""


@dataclass(frozen=True, slots=True)
class Control:
    """The parts of the parent process that the admin server asks."""

    figures: FigureControl
    ability: ReadinessControl
    """What `/readyz` says."""
    adopting: AdoptionControl
    reloads: ReloadControl
    upgrade: UpgradeControl
    servers: ServerCommands
    keys: KeyTrials
    alerts: AlertControl
    maintenance: MaintenanceControl
    rotation: CertificateControl
    payload: PayloadControl
    fleet: FleetControl | None
    """Where `[fleet]` names etcd."""
