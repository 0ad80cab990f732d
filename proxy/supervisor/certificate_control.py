"""What the admin server asks about certificates, answered by the rotation."""

from collections.abc import AsyncIterator
from typing import Any

from certs.rotation.attempt import Step
from certs.rotation.due import Reason
from certs.rotation.planning import Key
from proxy.admin.certificates import RotationUnderWay, UnknownCertificate
from proxy.rotation.rotating import Rotating
from proxy.rotation.running import NotRenewed
from proxy.supervisor.inspection import Inspection


class RotationControl:
    """Implements `admin.certificates.CertificateControl`."""

    def __init__(self, rotating: Rotating, inspection: Inspection) -> None:
        """Ask these."""
        self._rotating = rotating
        self._inspection = inspection

    def certificates(self) -> list[dict[str, Any]]:
        """Every issued credential."""
        return self._rotating.listing()

    async def rotate_certificate(
        self, identity: str, slot: str | None, *, compromised: bool, dry_run: bool
    ) -> AsyncIterator[dict[str, Any]]:
        """Rotate one after the other, and tell the steps, each with its credential; the last one has `ok`."""
        keys = self._idle(identity, slot)
        reason = Reason.COMPROMISED if compromised else Reason.COMMAND
        outcomes: list[bool] = []
        for key in keys:
            about = {"identity": key[0], "credential": key[1]}
            if dry_run:
                yield {**about, "would": [step.value for step in Step], "reason": reason.value}
                outcomes.append(True)
                continue
            yield {**about, "step": "begun", "reason": reason.value}
            async for step in self._rotating.rotate(key, reason):
                if "ok" in step:
                    outcomes.append(step["ok"])
                yield {**about, **{name if name != "ok" else "rotated": value for name, value in step.items()}}
        yield {"ok": all(outcomes)}

    async def roll_back_certificate(self, identity: str, slot: str | None) -> list[dict[str, Any]]:
        """Roll back one after the other."""
        results = []
        for key in self._idle(identity, slot):
            outcome = await self._rotating.roll_back(key)
            about: dict[str, Any] = {"identity": key[0], "credential": key[1]}
            if isinstance(outcome, NotRenewed):
                results.append({**about, "ok": False, "step": outcome.step.value, "detail": outcome.detail})
            else:
                results.append(
                    {**about, "ok": True, "version": outcome.version, "serial": f"{outcome.leaf.serial_number:x}"}
                )
        return results

    async def shown(self, identity: str) -> list[dict[str, Any]]:
        """Shake hands with each worker."""
        rows = await self._inspection.of(identity)
        if rows is None:
            raise UnknownCertificate(identity, None, sorted({one["identity"] for one in self._rotating.listing()}))
        return rows

    def _idle(self, identity: str, slot: str | None) -> list[Key]:
        keys = self._rotating.keys(identity, slot)
        if not keys:
            known = sorted({one["identity"] for one in self._rotating.listing()})
            raise UnknownCertificate(identity, slot, known)
        for key in keys:
            if self._rotating.is_running(key):
                raise RotationUnderWay(*key)
        return keys
