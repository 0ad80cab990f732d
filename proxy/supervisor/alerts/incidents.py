"""Events of the log that are a concern for some time, or until another event. Pure.

Most concerns are read from the state of the proxy. What leaves no trace there is taken from the
events that the parent writes.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from proxy.observe.alert import Concern, ConcernRow
from proxy.observe.alert_kinds import KINDS, AlertKind
from proxy.observe.events.audit import AuditLogFailed, AuditLogWrittenAgain
from proxy.observe.events.certificates import RotationMemoryLost
from proxy.observe.events.event import Event
from proxy.observe.events.payload import PayloadKeyRotated, PayloadRotationFailed
from proxy.observe.events.process import UnexpectedError
from proxy.observe.events.reloads import Reloaded, ReloadFailed
from proxy.observe.events.secrets import TicketRotationFailed, TicketsNotKept, TicketsRotated
from proxy.observe.events.upgrades import UpgradeBegun, UpgradeFailed
from proxy.observe.events.workers import WorkerEnded, WorkerFailed

RESTARTS_SECONDS: Final = 600.0
RESTARTS: Final = 3
"""The number of workers whose end within `RESTARTS_SECONDS` have a fault in common. One may be
chance."""
# For what is tried again and tells each failure, or has no counterpart.
_HELD_SECONDS: Final = 3_600.0
_UNTIL_OVER: Final = float("inf")
_TICKETS: Final = "session tickets"


@dataclass(frozen=True, slots=True)
class _Fault:
    """An event that is a concern for `seconds`, or until `over`. No subject: that of the event."""

    kind: AlertKind
    subject: str = ""
    over: type[Event] | None = None
    seconds: float = _UNTIL_OVER

    def subject_of(self, event: Event) -> str:
        if isinstance(event, PayloadRotationFailed | PayloadKeyRotated):
            return f"payload ring {event.ring}"
        return self.subject


_FAULTS: Final[Mapping[type[Event], _Fault]] = {
    ReloadFailed: _Fault(AlertKind.RELOAD_REFUSED, "configuration", Reloaded),
    UpgradeFailed: _Fault(AlertKind.UPGRADE_FAILED, "upgrade", UpgradeBegun, _HELD_SECONDS),
    AuditLogFailed: _Fault(AlertKind.AUDIT_NOT_WRITTEN, "audit", AuditLogWrittenAgain),
    TicketRotationFailed: _Fault(AlertKind.SECRETS_NOT_ROTATED, _TICKETS, TicketsRotated),
    TicketsNotKept: _Fault(AlertKind.SECRETS_NOT_ROTATED, f"stored {_TICKETS}", seconds=_HELD_SECONDS),
    PayloadRotationFailed: _Fault(AlertKind.SECRETS_NOT_ROTATED, "", PayloadKeyRotated, _HELD_SECONDS),
    RotationMemoryLost: _Fault(AlertKind.STATE_NOT_WRITABLE, "rotation.json", seconds=_HELD_SECONDS),
    UnexpectedError: _Fault(AlertKind.UNEXPECTED_ERROR, "parent", seconds=_HELD_SECONDS),
}


class HeldRow(ConcernRow):
    """A concern, and for how many seconds it is one; None until an event says that it is over."""

    left: float | None


class HandedIncidents(TypedDict):
    """What a process that replaces this one continues with."""

    held: list[HeldRow]
    ends: list[tuple[float, str]]
    """How many seconds ago workers ended, and how."""


class Incidents:
    """Hears the events of the parent."""

    def __init__(self) -> None:
        self._held: dict[tuple[AlertKind, str], tuple[Concern, float]] = {}
        self._ends: deque[tuple[float, str]] = deque(maxlen=100)

    def hear(self, event: Event, ticks: float) -> None:
        if isinstance(event, WorkerEnded | WorkerFailed):
            self._ends.append((ticks, event.sentence()))
        fault = _FAULTS.get(type(event))
        if fault is not None:
            concern = Concern(fault.kind, fault.subject_of(event), KINDS[fault.kind].urgency, event.sentence())
            self._held[concern.key] = concern, ticks + fault.seconds
        for one in _FAULTS.values():
            if one.over is type(event):
                self._held.pop((one.kind, one.subject_of(event)), None)

    def handed(self, ticks: float) -> HandedIncidents:
        """Everything that is held, for a process that replaces this one."""
        return {
            "held": [
                {**concern.as_json(), "left": None if end == _UNTIL_OVER else end - ticks}
                for concern, end in self._held.values()
            ],
            "ends": [(ticks - at, text) for at, text in self._ends],
        }

    def take_over(self, document: Mapping[str, Any], ticks: float) -> None:
        """Go on with what `handed` of an older process has returned."""
        for one in document["held"]:
            concern = Concern.from_json(one)
            left = one["left"]
            self._held.setdefault(concern.key, (concern, _UNTIL_OVER if left is None else ticks + left))
        earlier = [(ticks - age, str(text)) for age, text in document["ends"]]
        self._ends.extendleft(reversed(earlier))

    def concerns(self, ticks: float) -> Iterator[Concern]:
        self._held = {key: one for key, one in self._held.items() if one[1] > ticks}
        yield from (concern for concern, _ in self._held.values())
        while self._ends and self._ends[0][0] <= ticks - RESTARTS_SECONDS:
            self._ends.popleft()
        if len(self._ends) >= RESTARTS:
            text = (
                f"{len(self._ends)} workers ended or failed to start within {RESTARTS_SECONDS / 60:.0f} minutes, "
                f"the last one: {self._ends[-1][1]}"
            )
            yield Concern(AlertKind.WORKERS_RESTART, "workers", KINDS[AlertKind.WORKERS_RESTART].urgency, text)
