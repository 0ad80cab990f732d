"""Routes in maintenance over the admin socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.admin.requests.problems import CommandRefused
from proxy.admin.requests.wishes import PAGE_BYTES, MaintenanceWish
from tests.proxy.admin.test_server import Admin, listening


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with listening(tmp_path) as running:
        yield running


async def test_what_is_asked_is_done(admin: Admin) -> None:
    got = await admin.ask("/maintenance/on?route=a/&retry_after=5&allow=::1&page=json", "POST", data=b"{}")
    assert (got.status, got.json["route"]) == (200, "a/")
    assert (await admin.ask("/maintenance/on?route=a/", "POST")).status == 200
    assert (await admin.ask("/maintenance/off?route=a/", "POST")).json == {"route": "a/"}
    assert admin.control.maintenance.told == [
        MaintenanceWish("a/", "5", "::1", b"{}", page_is_html=False),
        MaintenanceWish("a/", "", "", b"", page_is_html=True),
        "a/",
    ]
    assert (await admin.ask("/maintenance")).json == {"routes": []}


async def test_route_has_to_be_named(admin: Admin) -> None:
    for path in ("/maintenance/on", "/maintenance/off?route="):
        answer = await admin.ask(path, "POST")
        assert (answer.status, answer.detail) == (400, "route says which route: write it")


async def test_refusal_is_a_problem(admin: Admin) -> None:
    admin.control.maintenance.error = CommandRefused(404, "there is no such route")
    answer = await admin.ask("/maintenance/off?route=x", "POST")
    assert (answer.status, answer.detail) == (404, "there is no such route")


async def test_page_that_is_far_too_long_is_not_read(admin: Admin) -> None:
    answer = await admin.ask("/maintenance/on?route=a/", "POST", data=bytes(PAGE_BYTES + 1))
    assert answer.status == 413
    assert admin.control.maintenance.told == []


async def test_only_the_operator_may_do_that(admin: Admin) -> None:
    for path in ("/maintenance", "/maintenance/on?route=a/", "/maintenance/off?route=a/"):
        assert (await admin.ask(path, "GET" if path == "/maintenance" else "POST", over_tcp=True)).status == 404
