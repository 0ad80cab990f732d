"""The command that sets TXT records: how it is called, what it sees of us, how it is ended."""

import os
import select
import sys
from pathlib import Path

import pytest

from certs.acme.challenges.dns_hook import DnsHook
from certs.acme.challenges.proofs import PresentingFailed, Proof
from config.tables.issuers import AcmeChallenge

PROOF = Proof(AcmeChallenge.DNS_01, "chat.test", "token", "thumbprint", "https://ca.test/c")
NAME, VALUE = PROOF.record


def hook(tmp_path: Path, code: str, *arguments: str, seconds: float = 30.0) -> DnsHook:
    script = tmp_path / "hook.py"
    script.write_text(code)
    return DnsHook([sys.executable, "-I", str(script), *arguments], seconds)


NOTE = """
import os, sys
with open(sys.argv[1], "a") as file:
    print(sys.argv[2:], sorted(os.environ), os.getcwd(), sys.stdin.read() == "", file=file)
"""


def test_it_is_called_with_name_and_value_and_sees_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DNS_TOKEN_OF_SOMEBODY", "secret")
    notes = tmp_path / "notes; rm -rf *"
    ours = hook(tmp_path, NOTE, str(notes))
    ours.present(PROOF)
    ours.withdraw(PROOF)
    lines = notes.read_text().splitlines()
    seen = "['LANG', 'PATH'] / True"
    assert lines == [f"{['present', NAME, VALUE]} {seen}", f"{['cleanup', NAME, VALUE]} {seen}"]


def test_failure_is_told_with_the_last_line_and_what_came_half_way_is_cleaned_up(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    code = NOTE + 'print("one", flush=True); print("no \\x1b such zone", file=sys.stderr); sys.exit(3)'
    ours = hook(tmp_path, code, str(notes))
    with pytest.raises(PresentingFailed) as caught:
        ours.present(PROOF)
    assert str(caught.value) == f"the hook {sys.executable} present {NAME} ended with status 3 (no   such zone)"
    assert [line.partition(",")[0] for line in notes.read_text().splitlines()] == ["['present'", "['cleanup'"]


def test_silence_of_a_hook_that_failed_is_no_parenthesis(tmp_path: Path) -> None:
    with pytest.raises(PresentingFailed, match=r"status 1$"):
        hook(tmp_path, "import sys; sys.exit(1)").withdraw(PROOF)


def test_hook_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"""
import pathlib, subprocess
child = subprocess.Popen(["sleep", "1000"])
pathlib.Path({str(note)!r}).write_text(str(child.pid))
child.wait()
"""
    with pytest.raises(PresentingFailed, match=r"took longer than 1 s"):
        hook(tmp_path, code, seconds=1.0).withdraw(PROOF)
    try:
        child = os.pidfd_open(int(note.read_text()))
    except ProcessLookupError:
        return
    assert select.select([child], [], [], 10)[0] == [child], "it runs on"
    os.close(child)


def test_command_that_is_not_there_is_told() -> None:
    with pytest.raises(PresentingFailed, match=r"the hook /nowhere/hook cleanup .* cannot be run \(No such file"):
        DnsHook(["/nowhere/hook"], 30.0).withdraw(PROOF)


def test_what_it_leaves_running_does_not_hold_us(tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.Popen(['sleep', '1'])"
    hook(tmp_path, code, seconds=30.0).withdraw(PROOF)
