"""The new process, seen from the running one: each way in which it fails is said in a clause."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from config.values.problems import Problem, Severity
from proxy.supervisor.upgrade.program import StartCommand
from proxy.supervisor.upgrade.successor import Successor, UpgradeAbandoned
from tests.descriptors import open_descriptors
from tests.upgrades import GREETS, script, speaker
from tests.waiting import is_alive

SECONDS = 20.0


def command(program: Path) -> StartCommand:
    return StartCommand((str(program),), ("run", "x.toml"), {"PATH": "/usr/bin:/bin"})


def what_is_held() -> list[str]:
    """The wires, memory files and handles of processes that are open: all that a successor is given
    or has.

    Threads of other tests may open and close sockets meanwhile.
    """
    held = []
    for descriptor in open_descriptors():
        with suppress(OSError):
            link = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - of a descriptor
            if link.startswith("socket:"):
                with socket.socket(fileno=os.dup(descriptor)) as one:
                    link = "wire" if one.type == socket.SOCK_SEQPACKET else ""
            if link == "wire" or link.startswith(("/memfd:", "anon_inode:[pidfd]")):
                held.append(link)
    return sorted(held)


@asynccontextmanager
async def started(program: Path) -> AsyncIterator[Successor]:
    before = what_is_held()
    successor = Successor(asyncio.get_running_loop(), command(program))
    try:
        yield successor
    finally:
        await successor.end(SECONDS)
        assert not is_alive(successor.pid)
    assert what_is_held() == before


async def failure(
    successor: Successor, kinds: tuple[str, ...] = ("hello",), seconds: float = SECONDS
) -> UpgradeAbandoned:
    with pytest.raises(UpgradeAbandoned) as caught:
        await successor.expect(kinds, seconds)
    return caught.value


async def test_it_talks_and_ends_when_it_is_asked(tmp_path: Path) -> None:
    async with started(speaker(tmp_path, "new", GREETS + 'wait("take")\nsay("serving")\nwait("give back")\n')) as one:
        said = await one.expect(["hello"], SECONDS)
        assert (said.body["version"], said.body["pid"]) == ("9.9.9", one.pid)
        one.say("take")
        await one.expect(["serving"], SECONDS)
        await one.silence(0.01)


async def test_it_gets_the_arguments_of_the_start_and_its_environment(tmp_path: Path) -> None:
    text = 'say("hello", argv=sys.argv[1:], names=sorted(os.environ))\nwait("take")\n'
    async with started(speaker(tmp_path, "new", text)) as one:
        body = (await one.expect(["hello"], SECONDS)).body
        assert body["argv"] == ["run", "x.toml"]
        assert {"PATH", "PLEXIGATE_UPGRADE"} <= set(body["names"]) <= {"PATH", "PLEXIGATE_UPGRADE", "LC_CTYPE", "PWD"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#!/bin/sh\nexit 3\n", "it ended with status 3"),
        ("#!/bin/sh\necho no such module >&2\nexit 1\n", "it ended with status 1 and wrote: no such module"),
        ("#!/bin/sh\nkill -9 $$\n", "it ended with signal 9"),
    ],
)
async def test_it_ends_at_once(tmp_path: Path, text: str, reason: str) -> None:
    async with started(script(tmp_path, "new", text)) as one:
        assert str(await failure(one)) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [("#!/nowhere/python\n", "No such file or directory"), ("no program\n", "Exec format error")],
)
async def test_it_cannot_be_started(tmp_path: Path, text: str, reason: str) -> None:
    before, program = what_is_held(), script(tmp_path, "new", text)
    with pytest.raises(UpgradeAbandoned, match=f"{program} could not be started: {reason}"):
        Successor(asyncio.get_running_loop(), command(program))
    assert what_is_held() == before


async def test_it_says_nothing_and_is_killed(tmp_path: Path) -> None:
    before = what_is_held()
    successor = Successor(asyncio.get_running_loop(), command(speaker(tmp_path, "new", "time.sleep(600)")))
    assert str(await failure(successor, seconds=0.05)) == "it was not ready in time"
    assert str(await failure(successor, seconds=-1.0)) == "it was not ready in time"
    await successor.end(0.05)
    assert not is_alive(successor.pid)
    assert what_is_held() == before


async def test_it_says_something_else(tmp_path: Path) -> None:
    async with started(speaker(tmp_path, "new", 'say("greetings")\nwait("give back")\n')) as one:
        assert str(await failure(one)) == "it says 'greetings', which this version does not understand"


async def test_it_speaks_without_being_asked(tmp_path: Path) -> None:
    async with started(
        speaker(tmp_path, "new", 'say("pong")\nsay("refused", reason="so")\nwait("give back")\n')
    ) as one:
        with pytest.raises(UpgradeAbandoned, match="it sent an unexpected message"):
            await one.silence(SECONDS)
        with pytest.raises(UpgradeAbandoned, match="so"):
            await one.silence(SECONDS)


async def test_it_sends_garbage(tmp_path: Path) -> None:
    async with started(speaker(tmp_path, "new", 'wire.send(b"garbage")\nwait("give back")\n')) as one:
        assert str(await failure(one)) == "it closed the connection"


async def test_it_refuses_with_problems_of_its_configuration(tmp_path: Path) -> None:
    problem = Problem("f.toml", "log.file", "a directory", "a file", Severity.ERROR, 3, 1)
    text = f'say("refused", reason="so", problems=[{json.dumps(problem.as_json())}])\nsay("refused", problems=[1])\nwait("give back")\n'
    async with started(speaker(tmp_path, "new", text)) as one:
        refusal = await failure(one)
        assert (refusal.reason, refusal.problems) == ("so", (problem,))
        refusal = await failure(one)
        assert (refusal.reason, refusal.problems) == ("it refuses", ())


async def test_the_running_process_stops_waiting(tmp_path: Path) -> None:
    async with started(speaker(tmp_path, "new", 'wait("give back")\n')) as one:
        asyncio.get_running_loop().call_later(0.01, one.stop, "a shutdown was requested")
        assert str(await failure(one)) == "a shutdown was requested"
        one.stop("again")
        assert str(await failure(one)) == "a shutdown was requested"
