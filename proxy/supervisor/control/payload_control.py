"""Answers the admin server's questions about rings."""

import asyncio
import base64
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, TypeVar, cast

from certs.audit.entries import Action
from config.values.problems import ConfigError
from proxy.admin.requests.problems import CommandRefused
from proxy.api.commands import ExportDocument, RingChange, RingsDocument, RingTrialRow, RingTrialsDocument
from proxy.net.in_thread import in_thread
from proxy.observe.events.event import Tell
from proxy.observe.events.payload import PayloadRingExported
from proxy.payload.key_trials import RingKeyTrial, trials
from proxy.payload.keys.keyring import NoSuchKey, PayloadKeyState, RingNotChanged
from proxy.payload.keys.payload_keys import suite_of
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.payload_rotation import NoSuchRing, PayloadRotation
from proxy.supervisor.secrets.payload_store import PayloadStoreUnusable

Result = TypeVar("Result")


class SupervisorPayload:
    """Implements `admin.requests.contracts.PayloadControl`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, served: ServedEdition, rotation: PayloadRotation, tell: Tell
    ) -> None:
        self._loop = loop
        self._served = served
        self._rotation = rotation
        self._tell = tell

    async def listed(self) -> RingsDocument:
        """Every ring with its keys and present counts, without secrets."""
        if self._served.edition.payload.rings:
            await self._rotation.count()
        rings = self._served.edition.payload.rings
        return {"rings": [{"name": name, "keys": ring.facts()} for name, ring in rings.items()]}

    async def rotate(self, ring: str) -> RingChange:
        version = await _translated(lambda: self._rotation.rotate(ring))
        states = {one.version: one.state for one in self._rotation.ring(ring).keys}
        # in a fleet, other nodes have to know it first
        return {"ring": ring, "version": version, "state": states.get(version, PayloadKeyState.PENDING).value}

    async def retire(self, ring: str, version: int) -> RingChange:
        await _translated(lambda: self._rotation.retire(ring, version))
        return {"ring": ring, "version": version, "state": "retired"}

    async def revoke(self, ring: str, version: int) -> RingChange:
        await _translated(lambda: self._rotation.revoke(ring, version))
        return {"ring": ring, "version": version, "state": "revoked"}

    async def exported(self, ring: str) -> ExportDocument:
        config = self._served.edition.loaded.config.payload
        settings = config.ring.get(ring)
        if settings is None:
            known = ", ".join(config.ring) or "none"
            raise CommandRefused(404, f'there is no ring "{ring}" that clients get; there is {known}')
        keys = self._rotation.ring(ring).readable
        self._rotation.audit(Action.EXPORT, ring, "its keys were exported")
        self._tell(PayloadRingExported(ring))
        return {
            "ring": ring,
            "bind": settings.bind,
            "envelope": settings.envelope.value,
            "max_age_seconds": config.max_age_seconds,
            "keys": [
                {
                    "version": key.version,
                    "state": key.state.value,
                    "key": base64.urlsafe_b64encode(key.secret).decode(),
                }
                for key in keys
            ],
        }

    async def identity(self) -> dict[str, str]:
        edition = self._with_sessions()

        def read() -> dict[str, str]:
            return self._rotation.store(edition).identity().pinned.as_json()

        return await _translated(lambda: in_thread(self._loop, read))

    async def replace_identity(self) -> dict[str, str]:
        self._with_sessions()
        return (await _translated(self._rotation.replace_identity)).pinned.as_json()

    def _with_sessions(self) -> Edition:
        edition = self._served.edition
        if not any(suite_of(ring) for ring in edition.payload.rings):
            raise CommandRefused(404, "this configuration has no [payload.sessions]")
        return edition

    async def tested(self) -> RingTrialsDocument:
        """Whether each key of each ring encrypts and decrypts; shows no secret, counts no use."""
        rings = self._served.edition.payload.rings

        def test() -> list[RingKeyTrial]:
            return [one for ring in rings.values() for one in trials(ring)]

        return {"keys": [cast("RingTrialRow", asdict(one)) for one in await in_thread(self._loop, test)]}


async def _translated(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    try:
        return await work()
    except NoSuchRing as error:
        raise CommandRefused(404, str(error)) from None
    except (NoSuchKey, ConfigError, PayloadStoreUnusable, RingNotChanged) as error:
        raise CommandRefused(409, str(error)) from None
