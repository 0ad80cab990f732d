"""Session tickets in a fleet: all nodes seal by one plan of secrets, each by its own clock."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from proxy.net.waiting import happened
from proxy.supervisor.membership.kinds.keys.ticket_plan import TicketPlan
from proxy.supervisor.membership.shared_kind import FleetNode
from proxy.tls.openssl.tickets import SECRET_BYTES, TicketSecrets

TICKETS: Final = "tickets"
_REFUSED_SECONDS: Final = 30.0
"""After workers have not taken new secrets."""
_LONGEST_SECONDS: Final = 60.0
"""The time until a clock that was set is noticed."""


class ServedTickets(Protocol):
    """The rotation of ticket secrets in this process."""

    @property
    def period_seconds(self) -> float:
        """How long a secret seals, by the configuration."""

    @property
    def present(self) -> tuple[bytes, float]:
        """The secret that seals now, and since when, in UNIX seconds."""

    async def follow(self, tickets: TicketSecrets, since: float) -> bool:
        """Serve by these from now on, and rotate no more by itself; whether that succeeded."""


class Tickets:
    """A `SharedKind`. The first leader goes on with the secret that it has."""

    prefix: Final = TICKETS
    is_kept: Final = True

    def __init__(self, served: ServedTickets, clock: Callable[[], float]) -> None:
        """The process serves by its own secrets until `take`. `clock` gives UNIX seconds."""
        self._served = served
        self._clock = clock
        self.plan: TicketPlan | None = None
        self._planned = asyncio.Event()

    def parse(self, name: str, content: Any) -> TicketPlan:  # noqa: ARG002 - there is one
        return TicketPlan.from_json(content)

    def take(self, changed: Mapping[str, Any]) -> None:
        self.plan = changed[TICKETS]
        self.tick()

    def due(self, now: float, epoch: int) -> Mapping[str, object | None]:
        known = self.plan or TicketPlan.begun(*self._served.present, epoch)
        if known.epoch < epoch:
            # the expelled node could answer for others by the old keys; without them, each client
            # makes one more full handshake
            known = TicketPlan.begun(_secret(), now, epoch)
        plan = known.extended(now, self._served.period_seconds, _secret)
        return {} if plan is self.plan else {TICKETS: plan.as_json()}

    async def run(self, node: FleetNode) -> None:  # noqa: ARG002 - it needs none
        served: TicketSecrets | None = None
        while True:
            wait = _LONGEST_SECONDS
            if self.plan is not None:
                now = self._clock()
                wanted, since = self.plan.at(now)
                wait = min(wait, self.plan.until_change(now))
                if wanted == served or await self._served.follow(wanted, since):
                    served = wanted
                else:
                    wait = min(wait, _REFUSED_SECONDS)
            await happened(self._planned, wait)
            self._planned.clear()

    def tick(self) -> None:
        """Look at the plan and the clock again, which may have changed."""
        self._planned.set()


def _secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)
