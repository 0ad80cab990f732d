"""Files that others may read or change are found."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.doctor.finding import Finding
from proxy.doctor.machine.file_rights import (
    FILE_RIGHTS,
    Service,
    place_findings,
    readable_findings,
    unreadable,
    user_name,
)
from proxy.doctor.machine.places import Content, NamedPlace
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOTHING, answering, configured, states

ME = Service(os.geteuid(), (os.getegid(),))
NOBODY = Service(65_534, (65_534,))


def found(path: Path, content: Content, service: Service = ME, *, is_written: bool = False) -> list[Finding]:
    return list(place_findings(NamedPlace("x", path, content, is_written), service))


def made(path: Path, mode: int) -> Path:
    path.touch()
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        (Content.SECRET, 0o600, ["ok"]),
        (Content.SECRET, 0o640, ["failure"]),
        (Content.SECRET, 0o604, ["failure"]),
        (Content.SECRET, 0o620, ["failure"]),
        (Content.SECRET, 0o666, ["failure"]),
        (Content.PUBLIC, 0o644, ["ok"]),
        (Content.PUBLIC, 0o666, ["failure"]),
        (Content.CONFIGURATION, 0o664, ["warning"]),
        (Content.LOG, 0o660, ["ok"]),
        (Content.SOCKET, 0o604, ["warning"]),
        (Content.STATE, 0o600, ["ok"]),
    ],
)
def test_mode(tmp_path: Path, content: Content, mode: int, expected: list[str]) -> None:
    findings = found(made(tmp_path / "file", mode), content)
    assert [str(one.state) for one in findings] == expected
    assert all("chmod" in one.remedy for one in findings if one.state != "ok")


def test_owner_that_is_neither_root_nor_the_service(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("run as root: only root gives files away")
    path = made(tmp_path / "key", 0o600)
    os.chown(path, 12_345, -1)
    assert [str(one.state) for one in found(path, Content.SECRET, NOBODY)] == ["warning"]
    assert [str(one.state) for one in found(path, Content.PUBLIC, NOBODY)] == ["ok"]


def test_directory_above_that_every_user_may_change(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir()
    path = made(directory / "key", 0o600)
    directory.chmod(0o777)
    assert [str(one.state) for one in found(path, Content.SECRET)] == ["failure"]
    assert [str(one.state) for one in found(path, Content.PUBLIC)] == ["ok"]
    directory.chmod(0o1777)
    assert [str(one.state) for one in found(path, Content.SECRET)] == ["ok"]


def test_key_in_a_state_directory_that_others_may_read(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "chat").mkdir(parents=True)
    state.chmod(0o700)
    made(state / "chat/key.pem", 0o644)
    made(state / "chat/chain.pem", 0o644)
    (finding,) = found(state, Content.STATE)
    assert (finding.state, "key.pem" in finding.found) == ("failure", True)


def test_file_that_is_missing(tmp_path: Path) -> None:
    assert [str(one.state) for one in found(tmp_path / "gone", Content.SECRET)] == ["failure"]
    assert [str(one.state) for one in found(tmp_path / "gone", Content.LOG, is_written=True)] == ["ok"]
    assert [str(one.state) for one in found(made(tmp_path / "file", 0o600) / "below", Content.SECRET)] == ["unknown"]


def test_files_that_the_service_cannot_read(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("run as root: only root takes the rights of another user")
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.name.startswith("pytest-") or parent.name.startswith("test_"):
            parent.chmod(0o755)
    mine = made(tmp_path / "mine", 0o600)
    public = made(tmp_path / "public", 0o644)
    places = [NamedPlace("a", mine, Content.SECRET), NamedPlace("b", public, Content.PUBLIC)]
    lost = unreadable([mine, public], NOBODY)
    if lost is None:
        pytest.skip("use a Python that another user can run: not one below /root")
    findings = list(readable_findings(places, NOBODY))
    assert states(findings)[0] == ("a", "failure")
    assert "chown nobody" in findings[0].remedy
    assert states(readable_findings(places, ME)) == [("files", "ok")]


def test_files_of_a_service_that_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator without its rights is not told to take its keys over."""
    unknown = Service(4_711, (4_711,), is_known=False)
    key = made(tmp_path / "key", 0o600)
    monkeypatch.setattr("proxy.doctor.machine.file_rights.unreadable", lambda paths, _: list(paths))
    (finding,) = readable_findings([NamedPlace("a", key, Content.SECRET)], unknown)
    assert (finding.state, "chown" in finding.remedy) == ("unknown", False)


def test_owner_of_a_file_is_not_judged_where_the_service_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site.make(tmp_path)
    examined = replace(NOTHING, configured=configured(site.write(site.minimal)))
    if os.geteuid() == 0:
        os.chown(site.chat.key, 65_534, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 4_711)
    rights, _ = FILE_RIGHTS
    key = states(one for one in rights.look(examined) if one.subject == "identity.chat.key")
    assert key == [("identity.chat.key", "ok")], "that its owner is not this user says nothing"


def test_what_this_user_cannot_find_out_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [NamedPlace("a", made(tmp_path / "file", 0o600), Content.SECRET)]
    monkeypatch.setattr(os, "geteuid", lambda: 4_711)
    assert states(readable_findings(places, NOBODY)) == [("files", "unknown")]
    monkeypatch.undo()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert unreadable([places[0].path], ME) is None
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert unreadable([places[0].path], ME) is None


def test_number_of_a_user_without_a_name() -> None:
    assert (user_name(0), user_name(4_711_000)) == ("root", "4711000")


def test_checks_use_the_account_of_the_running_proxy(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    examined = replace(NOTHING, configured=configured(site.write(site.minimal)))
    rights, readable = FILE_RIGHTS
    assert ("identity.chat.key", "ok") in states(rights.look(examined))
    assert states(readable.look(examined)) == [("files", "ok")]
    mine = replace(examined, running=answering({"pid": os.getpid(), "workers": []}))
    assert states(readable.look(mine)) == [("files", "ok")]
    gone = replace(examined, running=answering({"pid": 2**22 + 1, "workers": []}))
    assert states(readable.look(gone)) == [("files", "ok")]


def test_service_that_does_not_run_has_the_user_of_its_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator asks as root: a key that is given to root is lost for the service."""
    if os.geteuid() != 0:
        pytest.skip("run as root: only root gives files away")
    site = Site.make(tmp_path)
    examined = replace(NOTHING, configured=configured(site.write(site.minimal)))
    os.chown(site.chat.key, 65_534, -1)
    fake = made(tmp_path / "systemctl", 0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    answers = {"echo nobody": "ok", "echo": "warning", "echo nobody; exit 1": "warning", "echo no-such-user": "warning"}
    for answer, expected in answers.items():
        fake.write_text(f"#!/bin/sh\n[ \"$*\" = 'show --property=User --value plexigate.service' ] || exit\n{answer}\n")
        assert ("identity.chat.key", expected) in states(FILE_RIGHTS[0].look(examined)), answer
