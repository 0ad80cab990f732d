"""The loop continues while a module does not."""

import asyncio
import os
import pwd
import signal
from dataclasses import dataclass, replace

import pytest

from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.clients import calls
from certs.hsm.clients.async_client import AsyncTokenProcess, fault_for
from certs.hsm.errors import DeadlinePassed, KeyMissing, PinRefused, TokenMissing, TokenProcessLost
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind, SignatureMechanism
from certs.hsm.key_names import TokenKeyName
from certs.tokens.token_use import TokenUse
from tests.accounts import AS_SOMEBODY_ELSE
from tests.certs.hsm.clients.test_client import is_gone
from tests.hsm.shim import TokenControl
from tests.hsm_tokens import SoftHsm


async def process_for(access: TokenAccess) -> AsyncTokenProcess:
    process = AsyncTokenProcess(asyncio.get_running_loop())
    try:
        await process.perform(calls.load(access.module))
        found = await process.perform(calls.find(access.token))
        await process.perform(calls.log_in(access, found.token.slot))
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


@dataclass(frozen=True)
class Nobody:
    user: int = pwd.getpwnam("nobody").pw_uid
    group: int = pwd.getpwnam("nobody").pw_gid
    groups: tuple[int, ...] = ()


async def test_token_is_there_for_us_and_nobody_logs_in(use: TokenUse, control: TokenControl) -> None:
    loop = asyncio.get_running_loop()
    assert await fault_for(loop, use.access, None) is None
    other = replace(use.access, token=TokenChoice("other"))
    assert isinstance(await fault_for(loop, other, None), TokenMissing)
    assert control.calls("C_Login") == 0


@AS_SOMEBODY_ELSE
async def test_it_is_not_there_for_who_may_not_read_it(use: TokenUse) -> None:
    """The directories of a test are its user's alone."""
    assert os.geteuid() == 0
    fault = await fault_for(asyncio.get_running_loop(), use.access, Nobody())
    assert fault is not None
    assert str(use.access.module) in str(fault)
