"""The upgrade on the admin socket: `POST /upgrade?program=PATH&seconds=N` tells each step.

Only the Unix socket has it, which the user of the proxy and root alone may open. What is asked for
is a program that this process starts with its own rights.
"""

from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.admin.requests.problems import CommandRefused, problem, steps_answer
from proxy.api.commands import UpgradeLine

_PATH: Final = "/upgrade"
# The new version is watched for three seconds.
_LEAST_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 3_600.0


class UpgradeControl(Protocol):
    """The part of the parent that replaces it."""

    @property
    def why_nothing_changes(self) -> str | None:
        """Why other commands are refused now. None if they are not."""

    def upgrade(self, program: str | None, seconds: float | None) -> AsyncIterator[UpgradeLine]:
        """Start the program (None: the installed one) and let it take over, and tell the steps.

        The upgrade has `seconds` until the new program has everything. The last step has `ok`.
        Raises `CommandRefused` before the first one.
        """


def add_upgrade_route(router: web.UrlDispatcher, control: UpgradeControl) -> None:
    async def upgrade(request: web.Request) -> web.StreamResponse:
        """Tell the steps as they happen."""
        program = request.query.get("program") or None
        return await steps_answer(request, control.upgrade(program, _seconds(request)))

    router.add_post(_PATH, upgrade)


def while_nothing_changes(control: UpgradeControl) -> Any:
    """The middleware that refuses other commands during an upgrade.

    What they change would be lost with this process, or would not be known to the next one.
    """

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        reason = control.why_nothing_changes
        if reason is not None and request.method == "POST" and request.path != _PATH:
            return problem(409, f"{reason}; ask again when that has ended")
        return await handler(request)

    return refuse


def _seconds(request: web.Request) -> float | None:
    text = request.query.get("seconds")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        allowed = f"a number from {_LEAST_SECONDS:.0f} to {_MOST_SECONDS:.0f}"
        raise CommandRefused(400, f"seconds is {text[:20]!a}: write {allowed}")
    return seconds
