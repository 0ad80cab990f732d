"""The alerts on the admin socket."""

import json
from typing import Any

import pytest

from tests.proxy.admin.test_server import Admin, admin

__all__ = ["admin"]


async def test_open_alerts_are_listed(admin: Admin) -> None:
    answer = await admin.ask("/alerts")
    assert answer.status == 200
    assert json.loads(answer.text)["alerts"] == admin.control.alerts.alerts
    assert (await admin.ask("/alerts", over_tcp=True)).status == 404


@pytest.mark.parametrize(
    ("outcomes", "ok"), [([], False), ([True], True), ([True, False], False), ([True, True], True)]
)
async def test_a_test_is_good_if_there_is_a_receiver_and_each_one_took_it(
    admin: Admin,
    outcomes: list[bool],
    ok: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    rows: list[dict[str, Any]] = [{"receiver": "webhook", "to": "a", "ok": one, "detail": None} for one in outcomes]
    admin.control.alerts.receivers = rows
    answer = await admin.ask("/alerts/test", "POST")
    assert json.loads(answer.text) == {"ok": ok, "receivers": rows}
