"""Answers the admin server's questions about certificates, by the rotation."""

from collections.abc import AsyncIterator
from typing import Protocol

from certs.rotation.attempt import RotationStep
from certs.rotation.planning import Key
from proxy.admin.requests.problems import CommandRefused
from proxy.admin.requests.wishes import RotationWish
from proxy.api.certificates import CertificateRow, RollbackRow, RotationLine, ShownDocument, ShownRow
from proxy.rotation.listing import worst
from proxy.rotation.rotating import Rotating
from proxy.rotation.steps import rolled_back


class CertificateInspection(Protocol):
    """Finds what workers show to clients: an `Inspection`."""

    async def of(self, identity: str) -> list[ShownRow] | None:
        """A row for each worker, listener and credential. None for an unknown identity."""


class RotationControl:
    """Implements `admin.requests.contracts.CertificateControl`."""

    def __init__(self, rotating: Rotating, inspection: CertificateInspection) -> None:
        self._rotating = rotating
        self._inspection = inspection

    def certificates(self) -> list[CertificateRow]:
        return self._rotating.listing()

    async def rotate_certificate(
        self, identity: str, slot: str | None, wish: RotationWish
    ) -> AsyncIterator[RotationLine]:
        """Rotate, and tell each step with its credential. The last step has `ok`."""
        keys = self._idle(identity, slot)
        outcomes: list[bool] = []
        if wish.is_dry_run:
            for key in keys:
                yield {**_about(key), "would": [step.value for step in RotationStep], "reason": wish.reason.value}
            keys = []
        begun = set[Key]()
        async for key, step in self._rotating.rotate(keys, wish.reason, insists=wish.insists):
            if key not in begun:
                begun.add(key)
                yield {**_about(key), "step": "begun", "reason": wish.reason.value}
            if "ok" in step:
                outcomes.append(step["ok"])
            yield _of_credential(key, step)
        yield {"ok": all(outcomes)}

    async def roll_back_certificate(self, identity: str, slot: str | None) -> list[RollbackRow]:
        """Roll back all of these credentials, or none."""
        keys = self._idle(identity, slot)
        outcomes = await self._rotating.roll_back(keys)
        return [rolled_back(key, outcome) for key, outcome in zip(keys, outcomes, strict=True)]

    def urgency(self) -> str:
        return worst(self._rotating.standings)

    async def shown(self, identity: str) -> ShownDocument:
        """Shake hands with each worker."""
        rows = await self._inspection.of(identity)
        if rows is None:
            raise self._unknown(identity)
        return {"shown": rows}

    def _idle(self, identity: str, slot: str | None) -> list[Key]:
        keys = self._rotating.keys(identity, slot)
        if not keys:
            raise self._unknown(identity, slot)
        for name, credential in filter(self._rotating.is_running, keys):
            now = f"the {credential} credential of {name} is being rotated now"
            raise CommandRefused(409, f"{now}; ask again when that has ended")
        return keys

    def _unknown(self, identity: str, slot: str | None = None) -> CommandRefused:
        listed = self._rotating.listing()
        of_identity = [one["credential"] for one in listed if one["identity"] == identity]
        known = ", ".join(of_identity or sorted({one["identity"] for one in listed})) or "none"
        what = identity if slot is None else f"{identity} with a credential {slot}"
        return CommandRefused(404, f"no identity {what} rotates automatically; there are {known}")


def _about(key: Key) -> RotationLine:
    return {"identity": key[0], "credential": key[1]}


def _of_credential(key: Key, step: RotationLine) -> RotationLine:
    """A step with its credential. `ok` of one credential is not that of the whole command."""
    rest = step.copy()
    if "ok" not in rest:
        return {**_about(key), **rest}
    is_rotated = rest.pop("ok")
    return {**_about(key), "rotated": is_rotated, **rest}
