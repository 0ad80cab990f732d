"""The rings of payload encryption on the admin socket.

GET  /payload                            what there is, without secrets
POST /payload/RING/rotate                a new key
POST /payload/RING/VERSION/retire        no more messages under it
POST /payload/RING/VERSION/revoke        the same at once, and for good
GET  /payload/RING/export                the keys themselves, for clients
GET  /payload-identity                   what clients of sessions pin
GET  /payload-test                       whether each key encrypts and decrypts, without secrets
"""

from typing import Protocol

from aiohttp import web

from proxy.admin.requests.problems import json_answer
from proxy.api.commands import ExportDocument, RingChange, RingsDocument, RingTrialsDocument


class PayloadControl(Protocol):
    """The keeper of the rings in the parent. Every method may raise `CommandRefused`."""

    async def listed(self) -> RingsDocument:
        """Every ring with its keys, without secrets."""

    async def rotate(self, ring: str) -> int:
        """Encrypt with a new key from now on. Returns its version."""

    async def retire(self, ring: str, version: int) -> None:
        """End a key that is not needed any more."""

    async def revoke(self, ring: str, version: int) -> None:
        """End a key that is compromised."""

    async def exported(self, ring: str) -> ExportDocument:
        """The secrets that a client needs to use a ring."""

    async def identity(self) -> dict[str, str]:
        """The public keys that sign the keys of sessions."""

    async def tested(self) -> RingTrialsDocument:
        """Whether each key of each ring encrypts and decrypts."""


def add_payload_routes(router: web.UrlDispatcher, control: PayloadControl) -> None:
    routes = _Payload(control)
    router.add_get("/payload", routes.listed)
    router.add_get("/payload-identity", routes.identity)
    router.add_get("/payload-test", routes.tested)
    router.add_post("/payload/{ring}/rotate", routes.rotate)
    router.add_get("/payload/{ring}/export", routes.exported)
    router.add_post(r"/payload/{ring}/{version:\d{1,9}}/retire", routes.retire)
    router.add_post(r"/payload/{ring}/{version:\d{1,9}}/revoke", routes.revoke)


class _Payload:
    def __init__(self, control: PayloadControl) -> None:
        self._control = control

    async def listed(self, _request: web.Request) -> web.Response:
        return json_answer(await self._control.listed())

    async def identity(self, _request: web.Request) -> web.Response:
        return json_answer(await self._control.identity())

    async def tested(self, _request: web.Request) -> web.Response:
        return json_answer(await self._control.tested())

    async def rotate(self, request: web.Request) -> web.Response:
        ring = request.match_info["ring"]
        return json_answer(RingChange(ring=ring, version=await self._control.rotate(ring), state="active"))

    async def exported(self, request: web.Request) -> web.Response:
        return json_answer(await self._control.exported(request.match_info["ring"]))

    async def retire(self, request: web.Request) -> web.Response:
        ring = request.match_info["ring"]
        version = int(request.match_info["version"])
        await self._control.retire(ring, version)
        return json_answer(RingChange(ring=ring, version=version, state="retired"))

    async def revoke(self, request: web.Request) -> web.Response:
        ring = request.match_info["ring"]
        version = int(request.match_info["version"])
        await self._control.revoke(ring, version)
        return json_answer(RingChange(ring=ring, version=version, state="revoked"))
