"""The certificates on the admin socket: their list, and rotations that tell each step."""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from aiohttp import web

from proxy.admin.problems import json_answer
from proxy.admin.rotation_wish import RotationWish

STEPS_TYPE = "application/x-ndjson"
"""One JSON object on each line. The last one has `ok`."""


class UnknownCertificate(Exception):
    """There is no such identity with issued credentials, or it does not have this credential.

    `known` are those that exist.
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
        """Remember the credential."""
        super().__init__(identity, slot)
        self.identity = identity
        self.slot = slot

    def __str__(self) -> str:
        """One sentence."""
        return f"the {self.slot} credential of {self.identity} is being rotated at this moment; ask again when that has ended"


class CertificateControl(Protocol):
    """The rotation, as the admin server sees it.

    If `slot` is None, a method means all credentials of the identity.
    """

    def certificates(self) -> list[dict[str, Any]]:
        """All issued credentials, see `rotation.listing`."""

    def rotate_certificate(self, identity: str, slot: str | None, wish: RotationWish) -> AsyncIterator[dict[str, Any]]:
        """Rotate, and tell the steps.

        Raises `UnknownCertificate` or `RotationUnderWay` before the first one.
        """

    async def roll_back_certificate(self, identity: str, slot: str | None) -> list[dict[str, Any]]:
        """Serve by the former versions again: all of them or none. Tells the outcome of each.

        Raises `UnknownCertificate` or `RotationUnderWay`.
        """

    async def shown(self, identity: str) -> list[dict[str, Any]]:
        """What each worker shows for an identity, see `supervisor.inspection`.

        Raises `UnknownCertificate`.
        """


class CertificateCommands:
    """The handlers of the requests."""

    def __init__(self, control: CertificateControl) -> None:
        """`control` does the work."""
        self._control = control

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get("/certificates", self.listing)
        router.add_get("/certificates/{identity}/live", self.live)
        router.add_post("/certificates/{identity}/rotate", self.rotate)
        router.add_post("/certificates/{identity}/rollback", self.roll_back)

    async def listing(self, _request: web.Request) -> web.Response:
        """List all issued credentials."""
        return json_answer({"certificates": self._control.certificates()})

    async def live(self, request: web.Request) -> web.Response:
        """Tell what each worker shows for an identity."""
        return json_answer({"shown": await self._control.shown(request.match_info["identity"])})

    async def rotate(self, request: web.Request) -> web.StreamResponse:
        """Tell the steps as they happen. The rotation goes on if the client hangs up."""
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
        """Tell the outcome: 200 if all were rolled back, 409 if none was."""
        results = await self._control.roll_back_certificate(
            request.match_info["identity"], request.query.get("credential")
        )
        return json_answer({"results": results}, 200 if all(one["ok"] for one in results) else 409)


def _line(step: dict[str, Any]) -> bytes:
    return json.dumps(step).encode() + b"\n"
