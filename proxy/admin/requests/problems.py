"""Answers of the admin server: JSON, steps as lines of JSON, problem+json (RFC 9457) for errors."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

PROBLEM = "application/problem+json"
STEPS_TYPE = "application/x-ndjson"
"""One JSON object on each line. The last one has `ok`."""


class CommandRefused(Exception):
    """A command that cannot be done.

    `status` is 400 for an unusable value, 404 for something that is missing, 409 for another
    obstacle. The text names it.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    extensions: Mapping[str, Any] | None = None,
) -> web.Response:
    """An error as problem+json. `extensions` are further members (RFC 9457 section 3.2)."""
    standard = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return json_answer({**standard, **(extensions or {})}, status, content_type=PROBLEM, headers=headers)


def json_answer(
    document: Mapping[str, Any],
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    return web.Response(body=_line(document), status=status, content_type=content_type, headers=headers)


async def steps_answer(request: web.Request, steps: AsyncIterator[Mapping[str, Any]]) -> web.StreamResponse:
    """Tell the steps as they happen. The work continues if the client hangs up.

    Raises what `steps` raises before the first one: the answer has not begun then.
    """
    first = await anext(steps)
    response = web.StreamResponse(headers={"Content-Type": STEPS_TYPE})
    await response.prepare(request)
    with contextlib.suppress(ConnectionResetError):  # hung up: the work continues by itself
        await response.write(_line(first))
        async for step in steps:
            await response.write(_line(step))
        await response.write_eof()
    return response


def _line(step: Mapping[str, Any]) -> bytes:
    return json.dumps(step).encode() + b"\n"
