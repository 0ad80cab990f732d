"""`plexigate certs`, against a real admin server and without one."""

import json
from pathlib import Path

import pytest

from proxy.admin.requests.wishes import RotationWish
from tests.proxy.commands.certs.test_tables import ROW
from tests.proxy.commands.test_running import Running, plexigate, running
from tests.rotations import Rotations, configuration

__all__ = ["running"]

WAITING = {"step": "waiting", "until": "2026-01-08T00:01:00+00:00", "seconds": 60, "detail": "down"}


class TestListing:
    def test_a_table_and_the_whole_as_json(self, running: Running) -> None:
        running.control.rotating.listed = [ROW]
        table = running.run("certs", "list")
        assert (table.exit_code, table.stderr) == (0, "")
        assert "its lifetime runs out" in table.stdout
        assert json.loads(running.run("certs", "list", "--json").stdout) == [ROW]

    def test_one_identity(self, running: Running) -> None:
        running.control.rotating.listed = [ROW, {**ROW, "identity": "files"}]
        assert "chat" in running.run("certs", "show", "chat").stdout
        assert json.loads(running.run("certs", "show", "files", "--json").stdout)[0]["identity"] == "files"
        missing = running.run("certs", "show", "nobody")
        assert (missing.exit_code, missing.stderr) == (
            1,
            "plexigate: identity nobody has no certificate that rotates automatically\n",
        )

    def test_nobody_answers(self, tmp_path: Path) -> None:
        result = plexigate("certs", "list", "--socket", str(tmp_path / "admin.sock"))
        assert result.exit_code == 1
        assert "is Plexigate running" in result.stderr


class TestRotating:
    def test_steps_are_shown_as_they_come(self, running: Running) -> None:
        running.control.rotating.steps = [
            {"identity": "chat", "credential": "ec", "step": "new key", "key": "ec-p256@plexi"},
            {"identity": "chat", "credential": "ec", "rotated": True},
            {"ok": True},
        ]
        result = running.run("certs", "rotate", "chat")
        assert (result.exit_code, result.stdout) == (0, "chat ec: new key  key ec-p256@plexi\nchat ec: done\n")
        lines = running.run("certs", "rotate", "chat", "--json").stdout.splitlines()
        assert json.loads(lines[-1]) == {"ok": True}

    def test_a_failure_is_status_1(self, running: Running) -> None:
        running.control.rotating.steps = [{"rotated": False, "step": "certificate", "detail": "down"}, {"ok": False}]
        assert running.run("certs", "rotate", "chat").exit_code == 1

    def test_an_issuer_that_is_left_alone_is_status_3_unless_waited_for(self, running: Running) -> None:
        running.control.rotating.steps = [WAITING, {"ok": True}]
        assert running.run("certs", "rotate", "chat").exit_code == 3
        assert running.run("certs", "rotate", "chat", "--wait").exit_code == 0

    def test_a_person_may_insist(self, running: Running) -> None:
        assert running.run("certs", "rotate", "chat", "--now").exit_code == 0
        assert running.control.rotating.told == [("rotate", "chat", None, RotationWish(insists=True))]

    def test_one_that_waits_does_not_hold_the_others(self, running: Running) -> None:
        running.control.rotating.listed = [ROW, {**ROW, "identity": "nobody"}]
        running.control.rotating.steps = [WAITING, {"ok": True}]
        result = running.run("certs", "rotate", "--all")
        assert (result.exit_code, "no identity nobody" in result.stderr) == (1, True), "the second was asked for"
        running.control.rotating.listed = [ROW]
        assert running.run("certs", "rotate", "--all").exit_code == 3

    def test_all_are_rotated_one_after_the_other(self, running: Running) -> None:
        running.control.rotating.listed = [ROW]
        assert running.run("certs", "rotate", "--all", "--dry-run").exit_code == 0
        assert running.control.rotating.told == [("rotate", "chat", None, RotationWish(is_dry_run=True))]

    @pytest.mark.parametrize("arguments", [(), ("chat", "--all")])
    def test_either_a_name_or_all(self, running: Running, arguments: tuple[str, ...]) -> None:
        result = running.run("certs", "rotate", *arguments)
        assert result.exit_code == 2
        assert running.control.rotating.told == []

    def test_an_unknown_name(self, running: Running) -> None:
        result = running.run("certs", "rotate", "nobody")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "no identity nobody rotates automatically; there are chat" in result.stderr


class TestRollingBack:
    @pytest.mark.parametrize(("ok", "status"), [(True, 0), (False, 1)])
    def test_what_came_of_it(self, running: Running, ok: bool, status: int) -> None:  # noqa: FBT001
        result = {"identity": "chat", "credential": "ec", "ok": ok, "version": 1, "serial": "abc", "detail": "none"}
        running.control.rotating.results = [result]
        shown = running.run("certs", "rollback", "chat")
        assert shown.exit_code == status
        assert ("version 1 serves again, serial abc" if ok else "none") in shown.stdout
        assert json.loads(running.run("certs", "rollback", "chat", "--json").stdout) == [result]


class TestOffline:
    def test_everything_works_without_a_proxy(self, tmp_path: Path) -> None:
        scene = Rotations(tmp_path)
        file = str(scene.file)
        rotated = plexigate("certs", "rotate", "chat", "--offline", "--config", file, "--json")
        assert rotated.exit_code == 0, rotated.stderr
        assert json.loads(rotated.stdout.splitlines()[-1]) == {"ok": True}
        listed = json.loads(plexigate("certs", "list", "--offline", "--config", file, "--json").stdout)
        assert [one["version"] for one in listed] == [1]
        (entry,) = json.loads(plexigate("certs", "history", "chat", "--config", file, "--json").stdout)
        assert entry["state"] == "serves"
        assert "serves" in plexigate("certs", "history", "chat", "--config", file).stdout
        scene.follow(configuration("rsa-3072@file"))
        assert json.loads(plexigate("certs", "history", "chat", "--config", file, "--json").stdout) == [entry]

    def test_a_compromised_key_is_revoked(self, tmp_path: Path) -> None:
        file = str(Rotations(tmp_path).file)
        plexigate("certs", "rotate", "chat", "--offline", "--config", file)
        result = plexigate("certs", "rotate", "chat", "--compromised", "--offline", "--config", file)
        assert result.exit_code == 0, result.stderr
        assert "the previous certificate was revoked" in result.stdout

    def test_a_history_needs_the_configuration(self, tmp_path: Path) -> None:
        assert plexigate("certs", "history", "chat", "--socket", str(tmp_path / "none.sock")).exit_code == 1

    def test_a_history_of_nobody_is_refused(self, tmp_path: Path) -> None:
        result = plexigate("certs", "history", "nobody", "--config", str(Rotations(tmp_path).file))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "identity nobody has no certificate that rotates automatically" in result.stderr


@pytest.mark.parametrize("command", ["list", "show", "rotate", "rollback", "check", "trust", "history"])
def test_help_has_an_example(command: str) -> None:
    result = plexigate("certs", command, "--help")
    assert result.exit_code == 0
    assert f"Example: plexigate certs {command}" in " ".join(result.stdout.split())
