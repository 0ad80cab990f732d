"""Rings over the admin socket."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.admin.requests.problems import CommandRefused
from tests.proxy.admin.test_server import Admin, listening


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with listening(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "told", "answer"),
    [
        ("POST", "/payload/chat/rotate", ("rotate", "chat"), {"ring": "chat", "version": 3, "state": "active"}),
        (
            "POST",
            "/payload/%3Atickets/rotate",
            ("rotate", ":tickets"),
            {"ring": ":tickets", "version": 3, "state": "active"},
        ),
        ("POST", "/payload/chat/2/retire", ("retire", "chat", 2), {"ring": "chat", "version": 2, "state": "retired"}),
        ("POST", "/payload/chat/2/revoke", ("revoke", "chat", 2), {"ring": "chat", "version": 2, "state": "revoked"}),
        ("GET", "/payload-identity", ("identity",), {"ecdsa-p256-sha256": "AA", "ml-dsa-65": "BB"}),
    ],
)
async def test_what_is_asked_is_done(
    admin: Admin, method: str, path: str, told: tuple[Any, ...], answer: dict[str, Any]
) -> None:
    got = await admin.ask(path, method)
    assert (got.status, got.json) == (200, answer)
    assert admin.control.payload.told == [told]


async def test_what_is_shown(admin: Admin) -> None:
    assert [ring["name"] for ring in (await admin.ask("/payload")).json["rings"]] == ["chat"]
    assert (await admin.ask("/payload/chat/export")).json["ring"] == "chat"
    tested = {"ring": "chat", "version": 2, "state": "active", "fault": None}
    assert (await admin.ask("/payload-test")).json == {"keys": [tested]}


async def test_refusal_is_a_problem(admin: Admin) -> None:
    admin.control.payload.error = CommandRefused(409, "it is the active one")
    answer = await admin.ask("/payload/chat/2/retire", "POST")
    assert (answer.status, answer.detail) == (409, "it is the active one")


async def test_keys_are_not_for_who_only_monitors(admin: Admin) -> None:
    for path in ("/payload", "/payload/chat/export", "/payload-identity", "/payload-test"):
        assert (await admin.ask(path, over_tcp=True)).status == 404
    assert (await admin.ask("/payload/chat/x/revoke", "POST")).status == 404
    assert admin.control.payload.told == []
