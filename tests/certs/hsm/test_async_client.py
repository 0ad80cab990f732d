"""The loop goes on while a module does not."""

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from certs.hsm import calls
from certs.hsm.access import TokenAccess
from certs.hsm.async_client import AsyncTokenProcess
from certs.hsm.errors import DeadlinePassed, KeyMissing, PinRefused, TokenProcessLost
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind, SignatureMechanism
from certs.hsm.key_names import TokenKeyName
from tests.certs.hsm.test_client import is_gone
from tests.hsm_tokens import SoftHsm


async def process_for(access: TokenAccess) -> AsyncTokenProcess:
    process = AsyncTokenProcess(asyncio.get_running_loop())
    try:
        await process.perform(calls.load(access.module))
        await process.perform(calls.log_in(access))
    except BaseException:
        process.kill()
        raise
    return process


async def test_calls_are_answered_each_its_own(access: TokenAccess) -> None:
    async with await process_for(access) as process:
        await process.perform(calls.generate(TokenKeyName("chat", KeyKind.ECDSA_P256, 1)))
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(process.perform(calls.random(count))) for count in range(1, 20)]
        assert [len(one.result()) for one in asked] == list(range(1, 20))
        with pytest.raises(KeyMissing):
            await process.perform(calls.sign(KeyAddress("none"), SignatureMechanism.ECDSA, bytes(32)))
        listed = await process.perform(calls.keys())
        assert [key.label for key in listed] == ["chat.ecdsa-p256.v1"]
    assert is_gone(process.pid)
    with pytest.raises(TokenProcessLost):
        await process.perform(calls.random(1))


async def test_a_process_that_stands_still_is_killed_and_those_in_line_are_told(access: TokenAccess) -> None:
    process = await process_for(access)
    os.kill(process.pid, signal.SIGSTOP)
    first = asyncio.ensure_future(process.perform(replace(calls.random(4), seconds=0.2)))  # noqa: TID251 - awaited below
    second = asyncio.ensure_future(process.perform(calls.random(4)))  # noqa: TID251 - awaited below
    with pytest.raises(DeadlinePassed, match=r"within 0.2 s"):
        await first
    with pytest.raises(TokenProcessLost, match="ended before"):
        await second
    assert is_gone(process.pid)
    assert not process.is_usable
    await process.close()


async def test_a_cancelled_call_ends_the_process(access: TokenAccess) -> None:
    process = await process_for(access)
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await process.perform(calls.random(4))
    assert is_gone(process.pid)


async def test_a_refused_login_leaves_no_process(hsm: SoftHsm, access: TokenAccess) -> None:
    assert access.token.label == "plexi"
    with pytest.raises(PinRefused):
        await process_for(hsm.access("plexi", "wrong-pin"))


async def test_a_process_that_dies_is_an_error(access: TokenAccess) -> None:
    process = await process_for(access)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(TokenProcessLost, match="killed by SIGKILL"):
        await process.perform(calls.random(4))


async def test_a_kill_ends_the_call_that_is_under_way(access: TokenAccess) -> None:
    process = await process_for(access)
    os.kill(process.pid, signal.SIGSTOP)
    async with asyncio.timeout(3), asyncio.TaskGroup() as group:
        asked = group.create_task(lost_in(process))
        await asyncio.sleep(0)
        process.kill()
    assert "killed by SIGKILL" in asked.result()
    assert not process.is_usable
    process.kill()


async def lost_in(process: AsyncTokenProcess) -> str:
    with pytest.raises(TokenProcessLost) as caught:
        await process.perform(calls.random(4))
    return str(caught.value)
