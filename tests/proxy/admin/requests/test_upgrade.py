"""An upgrade over the admin socket; and what is refused while one is in flight."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.admin.requests.problems import CommandRefused
from tests.proxy.admin.test_server import Admin, listening


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with listening(tmp_path) as running:
        yield running


async def test_each_step_is_a_line(admin: Admin) -> None:
    answer = await admin.ask("/upgrade?program=/opt/new&seconds=5", "POST")
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
    assert list(map(json.loads, answer.text.splitlines())) == [{"step": "started"}, {"ok": True}]
    await admin.ask("/upgrade?program=", "POST")
    assert admin.control.upgrade.told == [("/opt/new", 5.0), (None, None)]


async def test_a_refusal_is_a_problem(admin: Admin) -> None:
    admin.control.upgrade.error = CommandRefused(403, "the program is of another user")
    answer = await admin.ask("/upgrade", "POST")
    assert (answer.status, answer.detail) == (403, "the program is of another user")


@pytest.mark.parametrize("seconds", ["0", "4.9", "x", "3601", "nan"])
async def test_a_time_that_is_none(admin: Admin, seconds: str) -> None:
    answer = await admin.ask(f"/upgrade?seconds={seconds}", "POST")
    assert (answer.status, answer.detail) == (
        400,
        f"seconds is '{seconds}': write a number from 5 to 3600",
    )
    assert admin.control.upgrade.told == []


async def test_commands_are_refused_meanwhile_and_questions_are_not(admin: Admin) -> None:
    admin.control.upgrade.why_nothing_changes = "an upgrade is in progress"
    for path in ("/reload", "/maintenance/on?route=a/", "/certificates/chat/rotate"):
        answer = await admin.ask(path, "POST")
        assert (answer.status, answer.detail) == (409, "an upgrade is in progress; ask again when that has ended")
    assert (await admin.ask("/status")).status == 200
    assert (await admin.ask("/upgrade", "POST")).status == 200
    assert ("reload", False) not in admin.control.told


async def test_strangers_cannot_ask_for_it(admin: Admin) -> None:
    assert (await admin.ask("/upgrade", "POST", over_tcp=True)).status == 404
    assert admin.control.upgrade.told == []
