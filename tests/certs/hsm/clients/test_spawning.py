"""The process gets its work over the socket alone, and ends with its leader."""

import asyncio
import os
import sys
import textwrap
from pathlib import Path

import pytest

from certs.hsm import frames
from certs.hsm.clients import calls
from certs.hsm.clients.calls import Call
from certs.hsm.clients.spawning import Spawned, request, result
from certs.hsm.errors import CallFailed, KeyMissing, as_document
from certs.hsm.frames import HEADER, Garbled, pack
from tests.certs.hsm.clients.test_client import is_gone
from tests.hsm_tokens import SoftHsm

CALL: Call[int] = Call("x", "do x", 1.0, int)


def reply(value: object) -> bytes:
    return pack(value)[HEADER.size :]


def test_an_answer_is_read() -> None:
    assert result(3, CALL, reply({"id": 3, "answer": "5"})) == 5


def test_an_error_is_raised_as_what_it_was() -> None:
    with pytest.raises(KeyMissing):
        result(3, CALL, reply({"id": 3, "error": as_document(KeyMissing("plexi", "label a"))}))


def test_an_answer_to_another_call_is_garbled() -> None:
    with pytest.raises(Garbled):
        result(3, CALL, reply({"id": 2, "answer": "5"}))


def test_an_answer_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(CallFailed, match="cannot be read"):
        result(3, CALL, reply({"id": 3, "answer": "five"}))


def test_a_request_names_the_call() -> None:
    assert frames.unpack(request(3, CALL)[HEADER.size :]) == {
        "id": 3,
        "call": "x",
        "operation": "do x",
        "arguments": {},
    }


def test_it_is_killed_at_once_and_twice() -> None:
    spawned = Spawned()
    assert spawned.is_usable
    spawned.end()
    spawned.end()
    assert is_gone(spawned.pid)


def test_it_does_not_obey_the_configuration_of_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENSSL_CONF", "/some/openssl.cnf")
    spawned = Spawned()
    try:
        assert b"OPENSSL_CONF" not in Path(f"/proc/{spawned.pid}/environ").read_bytes()
    finally:
        spawned.end()


async def test_it_ends_with_a_leader_that_is_killed(hsm: SoftHsm) -> None:
    assert hsm.configuration.exists()
    leader = textwrap.dedent("""
        import time
        from tests.hsm_tokens import softhsm_module
        from certs.hsm.clients import calls
        from certs.hsm.clients.client import TokenProcess
        process = TokenProcess()
        process.perform(calls.load(softhsm_module()))
        print(process.pid, flush=True)
        time.sleep(60)
    """)
    root = str(Path(__file__).parents[3])
    pipe = asyncio.subprocess.PIPE
    started = await asyncio.create_subprocess_exec(sys.executable, "-c", leader, stdout=pipe, cwd=root)
    assert started.stdout is not None
    pid = int(await started.stdout.readline())
    started.kill()
    await started.wait()
    assert is_gone(pid)


def test_what_a_lost_process_died_of_is_said() -> None:
    spawned = Spawned()
    os.kill(spawned.pid, 9)
    os.waitid(os.P_PID, spawned.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
    assert "killed by SIGKILL" in str(spawned.lost(calls.tokens()))
