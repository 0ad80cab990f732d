"""Certificates over the admin socket."""

import json
from pathlib import Path

import pytest

from proxy.admin.requests.certificates import RotationUnderWay, UnknownCertificate
from proxy.admin.requests.wishes import RotationWish
from tests.proxy.admin.test_server import Admin, admin

__all__ = ["admin"]

ROTATE = "/certificates/chat/rotate"


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_the_listing(admin: Admin) -> None:
    admin.control.rotating.listed = [{"identity": "chat"}]
    answer = await admin.ask("/certificates")
    assert (answer.status, answer.json) == (200, {"certificates": [{"identity": "chat"}]})


async def test_steps_come_line_by_line(admin: Admin) -> None:
    answer = await admin.ask(f"{ROTATE}?credential=ec&compromised=1&now=1", "POST")
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
    assert lines(answer.text) == [{"step": "begun"}, {"ok": True}]
    assert admin.control.rotating.told == [("rotate", "chat", "ec", RotationWish(is_compromised=True, insists=True))]


async def test_a_dry_run_says_so(admin: Admin) -> None:
    await admin.ask(f"{ROTATE}?dry_run=1", "POST")
    assert admin.control.rotating.told == [("rotate", "chat", None, RotationWish(is_dry_run=True))]


async def test_an_unknown_name_is_a_problem_before_the_first_step(admin: Admin) -> None:
    answer = await admin.ask("/certificates/nobody/rotate", "POST")
    assert answer.status == 404
    assert answer.detail == "no identity nobody rotates automatically; there are chat"
    assert (await admin.ask("/certificates/nobody/rollback", "POST")).status == 404
    assert (await admin.ask("/certificates/nobody/live")).status == 404


async def test_one_under_way_is_a_conflict(admin: Admin) -> None:
    admin.control.rotating.is_running = True
    answer = await admin.ask(ROTATE, "POST")
    assert answer.status == 409
    assert "now" in answer.detail


@pytest.mark.parametrize(("ok", "status"), [(True, 200), (False, 409)])
async def test_rolling_back_answers_what_came_of_it(admin: Admin, ok: bool, status: int) -> None:  # noqa: FBT001
    admin.control.rotating.results = [{"ok": ok}]
    answer = await admin.ask("/certificates/chat/rollback", "POST")
    assert (answer.status, answer.json) == (status, {"results": [{"ok": ok}]})


async def test_what_workers_show(admin: Admin) -> None:
    admin.control.rotating.rows = [{"worker": 0, "fault": None}]
    answer = await admin.ask("/certificates/chat/live")
    assert answer.json == {"shown": [{"worker": 0, "fault": None}]}


async def test_nothing_of_it_is_there_over_tcp(admin: Admin) -> None:
    for target, method in (("/certificates", "GET"), (ROTATE, "POST"), ("/certificates/chat/live", "GET")):
        assert (await admin.ask(target, method, over_tcp=True)).status == 404


def test_errors_are_sentences(tmp_path: Path) -> None:
    assert "there are none" in str(UnknownCertificate(str(tmp_path), None, []))
    assert "ec credential of chat" in str(RotationUnderWay("chat", "ec"))
