"""A PIN is in the memory of one process and nowhere else."""

import logging
import os
import select
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.clients.spawning import Spawned, request
from certs.hsm.errors import PinRefused
from certs.hsm.process.token_process import _Service
from tests.certs.hsm.clients.test_client import P256, SIGN
from tests.hsm_tokens import PIN, SoftHsm, dishonest, through, token_process
from tests.prepared_children import refused

WRONG = "wrong-pin-4242"


@pytest.fixture(autouse=True)
def started() -> Iterator[None]:
    with refused():
        yield


def places(pid: int) -> str:
    """What other processes could read of a process."""
    seen = []
    for name in ("cmdline", "environ", "comm", "status"):
        try:
            seen.append(Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace"))
        except PermissionError:
            assert name == "environ"  # not even for its own user: it is not dumpable
    return "\n".join(seen)


def test_no_pin_is_in_the_arguments_or_the_environment(token: TokenProcess) -> None:
    shown = places(token.pid)
    assert "certs.hsm.process.token_process" in shown
    assert PIN not in shown
    assert PIN not in places(os.getpid())


def test_no_pin_is_in_an_error_a_log_or_a_file(
    hsm: SoftHsm, access: TokenAccess, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    assert PIN not in repr(access)
    with pytest.raises(PinRefused) as caught:
        TokenProcess.logged_in(hsm.access("plexi", WRONG))
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value.args)
    captured = capfd.readouterr()
    assert "CKR_PIN_INCORRECT" in text
    files = [path for path in hsm.latches.iterdir() if path.is_file()]
    assert len(files) == 2
    seen = text + caplog.text + captured.out + captured.err + "".join(path.read_text() for path in files)
    assert WRONG not in seen


def test_it_writes_no_core_and_shows_its_memory_to_nobody(token: TokenProcess) -> None:
    limits = Path(f"/proc/{token.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4:6] == [
        "0",
        "0",
    ]
    assert Path(f"/proc/{token.pid}/mem").stat().st_uid == 0


def test_an_error_of_our_own_is_answered_without_its_text() -> None:
    request = {"call": "load", "operation": "load", "arguments": {"wrong": "geheim"}}
    answer = _Service().answer(request)
    assert answer["error"]["facts"] == ["load", "KeyError in our own code"]


def test_it_ends_without_a_word_when_nobody_wants_its_answer(capfd: pytest.CaptureFixture[str]) -> None:
    """As after a deadline, when the leader has closed its end and not yet killed it."""
    spawned = Spawned()
    watch = os.pidfd_open(spawned.pid)
    try:
        spawned.socket.shutdown(socket.SHUT_RD)  # writing fails over there; the end of the stream is not seen
        spawned.socket.sendall(request(1, calls.tokens()))
        assert select.select([watch], [], [], 15.0)[0]
        assert "exit status 0" in str(spawned.lost(calls.tokens()))
    finally:
        spawned.end()
        os.close(watch)
    assert capfd.readouterr().err == ""


def test_its_standard_output_is_not_the_pipe(token: TokenProcess) -> None:
    assert Path(f"/proc/{token.pid}/fd/1").readlink() == Path("/dev/null")
    assert token.perform(calls.random(1))


def test_it_ends_with_its_leader_also_while_a_call_hangs(hsm: SoftHsm, access: TokenAccess) -> None:
    with token_process(access) as process:
        process.perform(calls.generate(P256))
    with dishonest(hsm, "hang") as hanging, token_process(through(access, hanging.module)) as process:
        watch = os.pidfd_open(process.pid)
        try:
            process._spawned.socket.sendall(request(9, SIGN))
            process._spawned.socket.shutdown(socket.SHUT_RDWR)
            assert select.select([watch], [], [], 15.0)[0]
        finally:
            os.close(watch)
