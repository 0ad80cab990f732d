"""One rotation of one credential, with a deadline for each step: the asynchronous side of
`certs.rotation.attempt`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509

from certs.issuing.issuer import FailureKind, IssueFailed, NotShared
from certs.keys.home import HomeFailed
from certs.rotation.attempt import Attempt, RotationStep, Task, resumed, taken
from certs.rotation.checks import ChainUnusable, read_chain_pem
from certs.rotation.parts import Clock, Parts
from certs.rotation.revoking import revoke_compromised
from certs.storage.served import ServedFile, served_version
from certs.storage.shelf import ShelfDamaged, StoredVersion, retirement
from config.values.problems import ConfigError
from proxy.api.certificates import RotationLine
from proxy.net.in_thread import in_thread

LOCAL_SECONDS: Final = 60.0
"""The limit for a step that needs only disk and token: some make RSA keys for half a minute."""
_SWAPS_BEFORE_GIVING_UP: Final = 3

Result = TypeVar("Result")
Progress = Callable[[RotationLine], None]
Swap = Callable[[Mapping[Path, ServedFile], Callable[[], None]], Awaitable[None]]
"""Lets all workers prepare these files, calls the second argument, and lets all workers serve.

The second argument blocks. Raises `ConfigError` if a worker cannot prepare, and what the second
argument raises. All is then as before.
"""


@dataclass(frozen=True, slots=True)
class Renewed:
    version: int
    leaf: x509.Certificate


@dataclass(frozen=True, slots=True)
class NotRenewed:
    """A rotation that failed at `step`. The previous certificate continues to serve.

    `of_issuer` says whether the fault is the issuer's.
    """

    step: RotationStep
    kind: FailureKind
    detail: str
    of_issuer: bool
    retry_after: float | None = None


class _StepFailed(Exception):
    def __init__(self, failure: NotRenewed) -> None:
        super().__init__(failure)
        self.failure = failure


class Run:
    def __init__(self, loop: asyncio.AbstractEventLoop, task: Task, parts: Parts, swap: Swap, now: Clock) -> None:
        self._loop = loop
        self._task = task
        self._parts = parts
        self._swap_in = swap
        self._now = now
        rotation = parts.loaded.config.rotation
        self._issue_seconds = rotation.issue_seconds
        self._grace = rotation.grace

    async def run(self, progress: Progress, failures: int) -> Renewed | NotRenewed:
        """Go through the steps. `failures` counts failed runs of this credential in a row."""
        try:
            version = await self._kept_version(progress)
            if version is None:
                version = await self._new_version(progress)
            return await self._swap(version, progress, failures)
        except _StepFailed as error:
            return error.failure

    async def _kept_version(self, progress: Progress) -> StoredVersion | None:
        """One that needs no issuer: from the fleet, or of a process that ended."""
        task = self._task
        homes = self._parts.homes
        edition = task.edition
        if edition is not None:
            found = await self._step(
                RotationStep.CHECK, LOCAL_SECONDS, lambda: taken(task, edition, homes, self._now())
            )
            progress({"step": RotationStep.STORE.value, "version": found.number})
            return found
        if task.sharing is not None:
            return None  # what this node had begun is with the fleet
        version = await self._step(RotationStep.STORE, LOCAL_SECONDS, lambda: resumed(task, homes, self._now()))
        if version is not None:
            progress({"step": RotationStep.STORE.value, "version": version.number, "resumed": True})
        return version

    async def _new_version(self, progress: Progress) -> StoredVersion:
        attempt = Attempt(self._task, self._parts.homes, self._now)
        try:
            await self._step(RotationStep.KEY, LOCAL_SECONDS, attempt.make_key)
            progress({"step": RotationStep.KEY.value, "key": str(self._task.spec)})
            issued = await self._step(RotationStep.ISSUE, self._issue_seconds, attempt.issue)
            progress({"step": RotationStep.ISSUE.value, "issuer": self._task.issuer.name})
            leaf = await self._step(RotationStep.CHECK, LOCAL_SECONDS, lambda: attempt.check(issued))
            progress({"step": RotationStep.CHECK.value, **leaf_facts(leaf)})
            version = await self._step(RotationStep.STORE, LOCAL_SECONDS, lambda: attempt.store(issued))
            progress({"step": RotationStep.STORE.value, "version": version.number})
        except _StepFailed:
            await self._undone(attempt.give_up)
            await self._undone(attempt.undo)
            raise
        except BaseException:  # this process ends: another node goes on
            await self._undone(attempt.undo)
            raise
        return version

    async def _swap(self, version: StoredVersion, progress: Progress, failures: int) -> Renewed:
        task = self._task
        parts = self._parts
        files = await self._step(
            RotationStep.SWAP,
            LOCAL_SECONDS,
            lambda: served_version(task.shelf, version, parts.homes, parts.store.directory),
        )
        is_compromised = await self._step(RotationStep.SWAP, LOCAL_SECONDS, self._is_compromised)
        retired = retirement(self._now(), self._grace, task.reason.value, is_compromised=is_compromised)
        try:
            await self._swap_in(files, lambda: task.shelf.serve(version.number, retired))
        except (ConfigError, OSError, ShelfDamaged) as error:
            # Keep the version, so that the issuer need not be asked again. Drop it if the swap
            # failed too often: the version may be unusable.
            if failures >= _SWAPS_BEFORE_GIVING_UP and task.edition is None:
                await self._undone(lambda: task.shelf.drop(version.number, parts.homes))
            raise _StepFailed(
                NotRenewed(RotationStep.SWAP, FailureKind.TEMPORARY, str(error), of_issuer=False)
            ) from None
        leaf = read_chain_pem(version.chain_path.read_bytes())[0]
        progress({"step": RotationStep.SWAP.value, "version": version.number, **leaf_facts(leaf)})
        if is_compromised and task.edition is None:
            await self._revoked(progress)
        return Renewed(version.number, leaf)

    def _is_compromised(self) -> bool:
        """Whether the key that serves until now must never serve again."""
        task = self._task
        if task.edition is None:
            return task.reason.needs_a_new_key_at_once
        current = task.shelf.current()
        return current is not None and 0 < current.intent.edition < task.edition.sound_from

    async def _revoked(self, progress: Progress) -> None:
        """Revoke the previous certificate. If this fails, `Rotating` tries again."""
        shelf = self._task.shelf
        issuers = self._parts.issuers
        try:
            faults = await self._step(
                RotationStep.SWAP, self._issue_seconds, lambda: revoke_compromised(shelf, issuers, self._now())
            )
        except _StepFailed as error:
            faults = [error.failure.detail]
        for fault in faults or ["the previous certificate was revoked"]:
            progress({"note": fault})

    async def _undone(self, undo: Callable[[], None]) -> None:
        """Undo a step. If this fails, the next start undoes it."""
        try:
            await self._step(RotationStep.STORE, LOCAL_SECONDS, undo)
        except _StepFailed:
            return

    async def _step(self, step: RotationStep, seconds: float, work: Callable[[], Result]) -> Result:
        try:
            async with asyncio.timeout(seconds):
                return await in_thread(self._loop, work)
        except TimeoutError:
            detail = f"it took longer than {seconds:g} s"
            failure = NotRenewed(step, FailureKind.TEMPORARY, detail, of_issuer=step is RotationStep.ISSUE)
        except IssueFailed as error:
            failure = NotRenewed(
                step, error.kind, error.detail, of_issuer=self._task.edition is None, retry_after=error.retry_after
            )
        except ChainUnusable as error:
            # The issuer would send the same again. So ask again seldom, and alarm.
            failure = NotRenewed(step, FailureKind.PERMANENT, str(error), of_issuer=False)
        except (HomeFailed, NotShared, ShelfDamaged, OSError) as error:
            failure = NotRenewed(step, FailureKind.TEMPORARY, str(error), of_issuer=False)
        raise _StepFailed(failure)


def leaf_facts(leaf: x509.Certificate) -> RotationLine:
    """The facts of a certificate that steps tell."""
    return {
        "serial": f"{leaf.serial_number:x}",
        "not_before": leaf.not_valid_before_utc.isoformat(),
        "not_after": leaf.not_valid_after_utc.isoformat(),
    }
