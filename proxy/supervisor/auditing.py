"""Writes the parent's work with keys to the audit log.

The log has the keys that serve, how often each key signed, and the conditions of tokens.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Final, Protocol

from certs.audit.entries import Action, Entry, KeyOperation, Outcome
from certs.tokens.prober import Condition, ProbeFinding
from proxy.signing.breaker import BreakerState
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.secrets.audit_trail import PARENT
from proxy.supervisor.secrets.signature_totals import SignatureTotals
from proxy.supervisor.workers.contracts import CountedWorker, SlotHolder

_SCRAPE_SECONDS: Final = 2.0


class AuditedWorker(SlotHolder, CountedWorker, Hashable, Protocol):
    """A worker whose signatures are counted: a `WorkerProcess`."""


class Auditing:
    """Runs for as long as the parent does."""

    def __init__(
        self, tell: Callable[[Entry], None], scrape: Callable[[float], Awaitable[Iterable[AuditedWorker]]]
    ) -> None:
        """The work begins with `follow`.

        `tell` writes to the audit log. `scrape` asks workers for their figures, for up
        to the seconds that it is given.
        """
        self._tell = tell
        self._scrape = scrape
        self._totals = SignatureTotals()
        self._served: dict[tuple[str, str], str] = {}

    def follow(self, edition: Edition) -> None:
        """Write which keys come into service and which leave it."""
        served = {
            (key, one.fingerprint): f"identity {one.identity}, certificate {one.fingerprint}"
            for one in edition.identities.certificates
            for key in one.keys
        }
        for (key, print_), detail in served.items():
            if (key, print_) not in self._served:
                self._operation(Action.LOAD, key, Outcome.DONE, detail)
        for (key, print_), detail in self._served.items():
            if (key, print_) not in served:
                self._operation(Action.UNLOAD, key, Outcome.DONE, detail)
        self._served = served

    def tickets_rotated(self) -> None:
        """The secret of session tickets was replaced."""
        self._operation(Action.ROTATE, "session tickets", Outcome.DONE)

    def breaker_changed(self, worker: SlotHolder, name: str, state: BreakerState) -> None:
        """A worker stops trusting a token, or trusts it again."""
        actor = f"worker {worker.slot}"
        token = f"token {name}"
        if state is BreakerState.STOPPED:
            self._tell(KeyOperation(actor, Action.LOGIN, token, Outcome.REFUSED, "the token does not take the PIN"))
        self._tell(KeyOperation(actor, Action.BREAKER, token, Outcome.DONE, str(state)))

    def pin_tried(self, token: str, finding: ProbeFinding) -> None:
        """The parent has tried a PIN, or a latch of a refused PIN kept it from trying."""
        outcome = Outcome.DONE if finding.condition is Condition.WELL else Outcome.FAILED
        self._operation(Action.LOGIN, f"token {token}", outcome, finding.detail)

    def worker_gone(self, worker: AuditedWorker) -> None:
        """Write the last signatures of a worker that ended."""
        self._count(worker)
        self._totals.forget(worker)

    async def run(self, seconds: float) -> None:
        """Write periodically, every `seconds`, how often each key signed."""
        while True:
            await asyncio.sleep(seconds)
            for worker in await self._scrape(_SCRAPE_SECONDS):
                self._count(worker)

    def _operation(self, action: Action, key: str, outcome: Outcome, detail: str = "") -> None:
        self._tell(KeyOperation(PARENT, action, key, outcome, detail))

    def _count(self, worker: AuditedWorker) -> None:
        if worker.last is not None:
            for total in self._totals.take(worker, f"worker {worker.slot}", worker.last.snapshot):
                self._tell(total)
