"""The certificates on the admin socket: what there is, and rotations whose steps are told as they
happen.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from aiohttp import web

from proxy.admin.problems import json_answer
from proxy.admin.rotation_wish import RotationWish

STEPS_TYPE = "application/x-ndjson"
"""One JSON object on each line; the last one has `ok`."""


class UnknownCertificate(Exception):
    """There is no such identity with issued credentials, or it has no such one; `known` are those
    that there are.
    """

    def __init__(self, identity: str, slot: str | None, known: Sequence[str]) -> None:
        """Remember what was asked for and what there is."""
        super().__init__(identity, slot, known)
        self.identity = identity
        self.slot = slot
        self.known = known

    def __str__(self) -> str:
        """One sentence."""
        what = self.identity if self.slot is None else f"{self.identity} with a credential {self.slot}"
        return f"no identity {what} rotates by itself; there are {', '.join(self.known) or 'none'}"


class RotationUnderWay(Exception):
    """A credential is being rotated at this moment."""

    def __init__(self, identity: str, slot: str) -> None:
        """Remember which one."""
        super().__init__(identity, slot)
        self.identity = identity
        self.slot = slot

    def __str__(self) -> str:
        """One sentence."""
        return f"the {self.slot} credential of {self.identity} is being rotated at this moment; ask again when that has ended"


class CertificateControl(Protocol):
    """The rotation, as the admin server sees it. `slot` None: all credentials of an identity."""

    def certificates(self) -> list[dict[str, Any]]:
        """Every issued credential, see `rotation.listing`."""

    def rotate_certificate(self, identity: str, slot: str | None, wish: RotationWish) -> AsyncIterator[dict[str, Any]]:
        """Rotate, and tell the steps.

        Raises `UnknownCertificate` or `RotationUnderWay` before the first one.
        """

    async def roll_back_certificate(self, identity: str, slot: str | None) -> list[dict[str, Any]]:
        """Serve by the versions before again, all or none; tells what came of each.

        Raises as above.
        """

    async def shown(self, identity: str) -> list[dict[str, Any]]:
        """What each worker shows for an identity, see `supervisor.inspection`.

        Raises `UnknownCertificate`.
        """


class CertificateCommands:
    """Their handlers."""

    def __init__(self, control: CertificateControl) -> None:
        """Ask this one."""
        self._control = control

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Make them reachable."""
        router.add_get("/certificates", self.listing)
        router.add_get("/certificates/{identity}/live", self.live)
        router.add_post("/certificates/{identity}/rotate", self.rotate)
        router.add_post("/certificates/{identity}/rollback", self.roll_back)

    async def listing(self, _request: web.Request) -> web.Response:
        """All of them."""
        return json_answer({"certificates": self._control.certificates()})

    async def live(self, request: web.Request) -> web.Response:
        """What each worker shows for an identity."""
        return json_answer({"shown": await self._control.shown(request.match_info["identity"])})

    async def rotate(self, request: web.Request) -> web.StreamResponse:
        """The steps as they happen. A client that hangs up stops no rotation."""
        steps = self._control.rotate_certificate(
            request.match_info["identity"],
            request.query.get("credential"),
            RotationWish.of_query(request.query),
        )
        first = await anext(steps)  # before the answer begins: an unknown name is a 404
        response = web.StreamResponse(headers={"Content-Type": STEPS_TYPE})
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):  # hung up: the rotation goes on by itself
            await response.write(_line(first))
            async for step in steps:
                await response.write(_line(step))
            await response.write_eof()
        return response

    async def roll_back(self, request: web.Request) -> web.Response:
        """What came of it: 200 when all were rolled back, 409 when none was."""
        results = await self._control.roll_back_certificate(
            request.match_info["identity"], request.query.get("credential")
        )
        return json_answer({"results": results}, 200 if all(one["ok"] for one in results) else 409)


def _line(step: dict[str, Any]) -> bytes:
    return json.dumps(step).encode() + b"\n"
