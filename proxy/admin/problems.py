"""Answers of the admin server: JSON, and problem+json (RFC 9457) for errors."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

PROBLEM = "application/problem+json"


class CommandRefused(Exception):
    """A command that cannot be done.

    `status` is 400 for an unusable value, 404 for something that is missing, 409 for another
    obstacle. The text names it.
    """

    def __init__(self, status: int, detail: str) -> None:
        """Remember both."""
        super().__init__(status, detail)
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        """The sentence."""
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
    """A document as JSON."""
    body = json.dumps(document).encode() + b"\n"
    return web.Response(body=body, status=status, content_type=content_type, headers=headers)
