"""The certificates on the admin socket: their list, and rotations that tell each step."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from aiohttp import web

from proxy.admin.requests.problems import json_answer, steps_answer
from proxy.admin.requests.wishes import RotationWish
from proxy.api.certificates import (
    CertificateRow,
    CertificatesDocument,
    RollbackDocument,
    RollbackRow,
    RotationLine,
    ShownDocument,
    ShownRow,
)


class UnknownCertificate(Exception):
    """There is no such identity with issued credentials, or it does not have this credential.

    `known` are those that exist.
    """

    def __init__(self, identity: str, slot: str | None, known: Sequence[str]) -> None:
        super().__init__(identity, slot, known)
        self.identity = identity
        self.slot = slot
        self.known = known

    def __str__(self) -> str:
        what = self.identity if self.slot is None else f"{self.identity} with a credential {self.slot}"
        return f"no identity {what} rotates automatically; there are {', '.join(self.known) or 'none'}"


class RotationUnderWay(Exception):
    """A credential is being rotated now."""

    def __init__(self, identity: str, slot: str) -> None:
        super().__init__(identity, slot)
        self.identity = identity
        self.slot = slot

    def __str__(self) -> str:
        return f"the {self.slot} credential of {self.identity} is being rotated now; ask again when that has ended"


class CertificateControl(Protocol):
    """The rotation, as the admin server sees it.

    If `slot` is None, a method means all credentials of the identity.
    """

    def urgency(self) -> str:
        """The urgency of the most urgent rotation: calm, due, late, grave or expired."""

    def certificates(self) -> list[CertificateRow]:
        """All issued credentials, see `rotation.listing`."""

    def rotate_certificate(self, identity: str, slot: str | None, wish: RotationWish) -> AsyncIterator[RotationLine]:
        """Rotate, and tell the steps.

        Raises `UnknownCertificate` or `RotationUnderWay` before the first one.
        """

    async def roll_back_certificate(self, identity: str, slot: str | None) -> list[RollbackRow]:
        """Serve by the previous versions again: all of them or none. Tells the outcome of each.

        Raises `UnknownCertificate` or `RotationUnderWay`.
        """

    async def shown(self, identity: str) -> list[ShownRow]:
        """What each worker shows for an identity, see `supervisor.control.inspection`.

        Raises `UnknownCertificate`.
        """


class CertificateCommands:
    def __init__(self, control: CertificateControl) -> None:
        self._control = control

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_get("/certificates", self.listing)
        router.add_get("/certificates/{identity}/live", self.live)
        router.add_post("/certificates/{identity}/rotate", self.rotate)
        router.add_post("/certificates/{identity}/rollback", self.roll_back)

    async def listing(self, _request: web.Request) -> web.Response:
        return json_answer(CertificatesDocument(certificates=self._control.certificates()))

    async def live(self, request: web.Request) -> web.Response:
        """Tell what each worker shows for an identity."""
        return json_answer(ShownDocument(shown=await self._control.shown(request.match_info["identity"])))

    async def rotate(self, request: web.Request) -> web.StreamResponse:
        """Tell the steps as they happen."""
        identity = request.match_info["identity"]
        slot = request.query.get("credential")
        wish = RotationWish.of_query(request.query)
        return await steps_answer(request, self._control.rotate_certificate(identity, slot, wish))

    async def roll_back(self, request: web.Request) -> web.Response:
        """Tell the outcome: 200 if all were rolled back, 409 if none was."""
        results = await self._control.roll_back_certificate(
            request.match_info["identity"], request.query.get("credential")
        )
        return json_answer(RollbackDocument(results=results), 200 if all(one["ok"] for one in results) else 409)
