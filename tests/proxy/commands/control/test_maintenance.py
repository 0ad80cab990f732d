"""`plexigate maintenance ...`, run against a real admin server on a real socket."""

import json
from pathlib import Path

import pytest

from proxy.admin.requests.problems import CommandRefused
from proxy.admin.requests.wishes import MaintenanceWish
from tests.fakes_admin import NOW
from tests.proxy.commands.test_running import Running, plexigate, running

__all__ = ["plexigate", "running"]

ENTRY = {
    "route": "chat.test/",
    "since": NOW,
    "retry_after": 77,
    "page": True,
    "allowed": ["10.0.0.0/8"],
    "is_configured": True,
    "is_of_fleet": False,
}


def test_list_is_a_table(running: Running) -> None:
    assert running.run("maintenance").output == "No route is under maintenance.\n"
    other = {**ENTRY, "route": "gone.test/", "page": False, "allowed": [], "is_configured": False, "is_of_fleet": True}
    running.control.maintenance.routes = [ENTRY, other]
    lines = [line.split() for line in running.run("maintenance").output.splitlines()]
    assert lines[1] == ["chat.test/", "2026-06-01", "12:00:00Z", "77", "s", "its", "own", "10.0.0.0/8"]
    assert lines[2] == [
        "gone.test/",
        "2026-06-01",
        "12:00:00Z",
        "77",
        "s",
        "usual",
        "-",
        "whole",
        "fleet",
        "not",
        "in",
        "the",
        "configuration",
    ]
    assert json.loads(running.run("maintenance", "--json").output) == {"routes": [ENTRY, other]}


def test_route_is_taken_out_and_put_back(running: Running, tmp_path: Path) -> None:
    page = tmp_path / "down.json"
    page.write_text("{}")
    said = running.run("maintenance", "on", "chat.test/")
    assert said.output == "Route chat.test/ is under maintenance: clients get 503 and may come again after 300 s.\n"
    options = ("--page", str(page), "--retry-after", "77", "--allow", "10.0.0.0/8", "--allow", "::1")
    assert "after 77 s" in running.run("maintenance", "on", "chat.test/", *options).output
    html = tmp_path / "down.html"
    html.write_text("<p>")
    running.run("maintenance", "on", "chat.test/", "--page", str(html))
    assert running.run("maintenance", "off", "chat.test/").output == "Route chat.test/ is back in service.\n"
    for verb in ("on", "off"):
        assert running.run("maintenance", verb, "chat.test/", "--fleet").exit_code == 0
    assert running.control.maintenance.told == [
        MaintenanceWish("chat.test/", "", "", b"", page_is_html=True),
        MaintenanceWish("chat.test/", "77", "10.0.0.0/8,::1", b"{}", page_is_html=False),
        MaintenanceWish("chat.test/", "", "", b"<p>", page_is_html=True),
        "chat.test/",
        MaintenanceWish("chat.test/", "", "", b"", page_is_html=True, for_fleet=True),
        ("chat.test/", "fleet"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("down.txt", b"x", "a page is an .html or a .json file"),
        ("none.html", None, "No such file or directory"),
        ("empty.html", b"", "the page is empty"),
    ],
)
def test_page_that_cannot_be_used_is_said(
    running: Running, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    refused = running.run("maintenance", "on", "chat.test/", "--page", str(tmp_path / name))
    assert (refused.exit_code, said in refused.output) == (1, True)
    assert running.control.maintenance.told == []


def test_worker_that_did_not_answer_is_said(running: Running) -> None:
    running.control.maintenance.warning = {"warning": "one worker did not answer"}
    for verb in ("on", "off"):
        said = running.run("maintenance", verb, "x")
        assert (said.exit_code, "warning: one worker did not answer\n" in said.output) == (0, True)


def test_refusal_of_the_proxy_is_said(running: Running) -> None:
    running.control.maintenance.error = CommandRefused(404, "there is no such route")
    for verb in ("on", "off"):
        refused = running.run("maintenance", verb, "x")
        assert (refused.exit_code, "plexigate: there is no such route" in refused.output) == (1, True)
