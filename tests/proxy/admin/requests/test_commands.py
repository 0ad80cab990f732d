"""The commands, asked over the admin socket: what each answers, and that it is not for who only monitors."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.admin.requests.problems import CommandRefused
from proxy.admin.requests.wishes import PAGE_BYTES, MaintenanceWish, RotationWish
from tests.proxy.admin.test_server import Admin, listening

ROTATE = "/certificates/chat/rotate"


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with listening(tmp_path) as running:
        yield running
        assert running.errors == []


class TestAlerts:
    """The open alerts, and a test of the receivers."""

    async def test_open_alerts_are_listed(self, admin: Admin) -> None:
        answer = await admin.ask("/alerts")
        assert answer.status == 200
        assert json.loads(answer.text)["alerts"] == admin.control.alerts.alerts
        assert (await admin.ask("/alerts", over_tcp=True)).status == 404

    @pytest.mark.parametrize(
        ("outcomes", "ok"), [([], False), ([True], True), ([True, False], False), ([True, True], True)]
    )
    async def test_a_test_is_good_if_there_is_a_receiver_and_each_one_took_it(
        self,
        admin: Admin,
        outcomes: list[bool],
        ok: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        rows: list[dict[str, Any]] = [{"receiver": "webhook", "to": "a", "ok": one, "detail": None} for one in outcomes]
        admin.control.alerts.receivers = rows
        answer = await admin.ask("/alerts/test", "POST")
        assert json.loads(answer.text) == {"ok": ok, "receivers": rows}


class TestCertificates:
    """Rotations tell each step."""

    async def test_the_listing(self, admin: Admin) -> None:
        admin.control.rotating.listed = [{"identity": "chat"}]
        answer = await admin.ask("/certificates")
        assert (answer.status, answer.json) == (200, {"certificates": [{"identity": "chat"}]})

    async def test_steps_come_line_by_line(self, admin: Admin) -> None:
        answer = await admin.ask(f"{ROTATE}?credential=ec&compromised=1&now=1", "POST")
        assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
        assert lines(answer.text) == [{"step": "begun"}, {"ok": True}]
        assert admin.control.rotating.told == [
            ("rotate", "chat", "ec", RotationWish(is_compromised=True, insists=True))
        ]

    async def test_a_dry_run_says_so(self, admin: Admin) -> None:
        await admin.ask(f"{ROTATE}?dry_run=1", "POST")
        assert admin.control.rotating.told == [("rotate", "chat", None, RotationWish(is_dry_run=True))]

    async def test_an_unknown_name_is_a_problem_before_the_first_step(self, admin: Admin) -> None:
        answer = await admin.ask("/certificates/nobody/rotate", "POST")
        assert answer.status == 404
        assert answer.detail == "no identity nobody rotates automatically; there are chat"
        assert (await admin.ask("/certificates/nobody/rollback", "POST")).status == 404
        assert (await admin.ask("/certificates/nobody/live")).status == 404

    async def test_one_under_way_is_a_conflict(self, admin: Admin) -> None:
        admin.control.rotating.is_running = True
        answer = await admin.ask(ROTATE, "POST")
        assert answer.status == 409
        assert "now" in answer.detail

    @pytest.mark.parametrize(("ok", "status"), [(True, 200), (False, 409)])
    async def test_rolling_back_answers_what_came_of_it(self, admin: Admin, ok: bool, status: int) -> None:  # noqa: FBT001
        admin.control.rotating.results = [{"ok": ok}]
        answer = await admin.ask("/certificates/chat/rollback", "POST")
        assert (answer.status, answer.json) == (status, {"results": [{"ok": ok}]})

    async def test_what_workers_show(self, admin: Admin) -> None:
        admin.control.rotating.rows = [{"worker": 0, "fault": None}]
        answer = await admin.ask("/certificates/chat/live")
        assert answer.json == {"shown": [{"worker": 0, "fault": None}]}

    async def test_nothing_of_it_is_there_over_tcp(self, admin: Admin) -> None:
        for target, method in (("/certificates", "GET"), (ROTATE, "POST"), ("/certificates/chat/live", "GET")):
            assert (await admin.ask(target, method, over_tcp=True)).status == 404


class TestMaintenance:
    """Routes that are taken out of service."""

    async def test_what_is_asked_is_done(self, admin: Admin) -> None:
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

    async def test_route_has_to_be_named(self, admin: Admin) -> None:
        for path in ("/maintenance/on", "/maintenance/off?route="):
            answer = await admin.ask(path, "POST")
            assert (answer.status, answer.detail) == (400, "route says which route: write it")

    async def test_refusal_is_a_problem(self, admin: Admin) -> None:
        admin.control.maintenance.error = CommandRefused(404, "there is no such route")
        answer = await admin.ask("/maintenance/off?route=x", "POST")
        assert (answer.status, answer.detail) == (404, "there is no such route")

    async def test_page_that_is_far_too_long_is_not_read(self, admin: Admin) -> None:
        answer = await admin.ask("/maintenance/on?route=a/", "POST", data=bytes(PAGE_BYTES + 1))
        assert answer.status == 413
        assert admin.control.maintenance.told == []

    async def test_only_the_operator_may_do_that(self, admin: Admin) -> None:
        for path in ("/maintenance", "/maintenance/on?route=a/", "/maintenance/off?route=a/"):
            assert (await admin.ask(path, "GET" if path == "/maintenance" else "POST", over_tcp=True)).status == 404


class TestPayload:
    """The rings."""

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
            (
                "POST",
                "/payload/chat/2/retire",
                ("retire", "chat", 2),
                {"ring": "chat", "version": 2, "state": "retired"},
            ),
            (
                "POST",
                "/payload/chat/2/revoke",
                ("revoke", "chat", 2),
                {"ring": "chat", "version": 2, "state": "revoked"},
            ),
            ("GET", "/payload-identity", ("identity",), {"ecdsa-p256-sha256": "AA", "ml-dsa-65": "BB"}),
        ],
    )
    async def test_what_is_asked_is_done(
        self, admin: Admin, method: str, path: str, told: tuple[Any, ...], answer: dict[str, Any]
    ) -> None:
        got = await admin.ask(path, method)
        assert (got.status, got.json) == (200, answer)
        assert admin.control.payload.told == [told]

    async def test_what_is_shown(self, admin: Admin) -> None:
        assert [ring["name"] for ring in (await admin.ask("/payload")).json["rings"]] == ["chat"]
        assert (await admin.ask("/payload/chat/export")).json["ring"] == "chat"
        tested = {"ring": "chat", "version": 2, "state": "active", "fault": None}
        assert (await admin.ask("/payload-test")).json == {"keys": [tested]}

    async def test_refusal_is_a_problem(self, admin: Admin) -> None:
        admin.control.payload.error = CommandRefused(409, "it is the active one")
        answer = await admin.ask("/payload/chat/2/retire", "POST")
        assert (answer.status, answer.detail) == (409, "it is the active one")

    async def test_keys_are_not_for_who_only_monitors(self, admin: Admin) -> None:
        for path in ("/payload", "/payload/chat/export", "/payload-identity", "/payload-test"):
            assert (await admin.ask(path, over_tcp=True)).status == 404
        assert (await admin.ask("/payload/chat/x/revoke", "POST")).status == 404
        assert admin.control.payload.told == []


class TestUpgrade:
    """Another version; and what is refused while it takes over."""

    async def test_each_step_is_a_line(self, admin: Admin) -> None:
        answer = await admin.ask("/upgrade?program=/opt/new&seconds=5", "POST")
        assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
        assert list(map(json.loads, answer.text.splitlines())) == [{"step": "started"}, {"ok": True}]
        await admin.ask("/upgrade?program=", "POST")
        assert admin.control.upgrade.told == [("/opt/new", 5.0), (None, None)]

    async def test_a_refusal_is_a_problem(self, admin: Admin) -> None:
        admin.control.upgrade.error = CommandRefused(403, "the program is of another user")
        answer = await admin.ask("/upgrade", "POST")
        assert (answer.status, answer.detail) == (403, "the program is of another user")

    @pytest.mark.parametrize("seconds", ["0", "4.9", "x", "3601", "nan"])
    async def test_a_time_that_is_none(self, admin: Admin, seconds: str) -> None:
        answer = await admin.ask(f"/upgrade?seconds={seconds}", "POST")
        assert (answer.status, answer.detail) == (
            400,
            f"seconds is '{seconds}': write a number from 5 to 3600",
        )
        assert admin.control.upgrade.told == []

    async def test_commands_are_refused_meanwhile_and_questions_are_not(self, admin: Admin) -> None:
        admin.control.upgrade.why_nothing_changes = "an upgrade is in progress"
        for path in ("/reload", "/maintenance/on?route=a/", "/certificates/chat/rotate"):
            answer = await admin.ask(path, "POST")
            assert (answer.status, answer.detail) == (409, "an upgrade is in progress; ask again when that has ended")
        assert (await admin.ask("/status")).status == 200
        assert (await admin.ask("/upgrade", "POST")).status == 200
        assert ("reload", False) not in admin.control.told

    async def test_strangers_cannot_ask_for_it(self, admin: Admin) -> None:
        assert (await admin.ask("/upgrade", "POST", over_tcp=True)).status == 404
        assert admin.control.upgrade.told == []
