"""Nobody waits for a module longer than a call may take."""

import os
import signal
import time
from dataclasses import replace

import pytest

from certs.hsm import frames
from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import CallFailed, DeadlinePassed, TokenProcessLost
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind, SignatureMechanism
from certs.hsm.key_names import TokenKeyName
from tests.hsm_tokens import SoftHsm, dishonest, through, token_process

P256 = TokenKeyName("chat", KeyKind.ECDSA_P256, 1)
SIGN = calls.sign(KeyAddress.of(P256), SignatureMechanism.ECDSA, bytes(32))


def is_gone(pid: int) -> bool:
    """Whether a process is gone, or will be at once: it was killed, on a machine that has other things to do."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.005)
    return False


def test_a_process_that_stands_still_is_killed_at_the_deadline(token: TokenProcess) -> None:
    os.kill(token.pid, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(
        DeadlinePassed, match=r"did not give random bytes within 0.2 s; the process that waited for it was killed"
    ):
        token.perform(replace(calls.random(4), seconds=0.2))
    assert time.monotonic() - start < 2
    assert is_gone(token.pid)
    assert not token._spawned.is_usable
    with pytest.raises(TokenProcessLost, match="it was ended before"):
        token.perform(calls.random(4))


def test_a_module_that_hangs_is_killed_at_the_deadline(hsm: SoftHsm, access: TokenAccess) -> None:
    with token_process(access) as process:
        process.perform(calls.generate(P256))
    with dishonest(hsm, "hang") as hanging, token_process(through(access, hanging.module)) as process:
        with pytest.raises(DeadlinePassed, match=r"did not sign within 0.3 s"):
            process.perform(replace(SIGN, seconds=0.3))
        assert is_gone(process.pid)


def test_a_module_that_crashes_is_an_error(hsm: SoftHsm, access: TokenAccess) -> None:
    with token_process(access) as process:
        process.perform(calls.generate(P256))
    with dishonest(hsm, "crash") as crashing, token_process(through(access, crashing.module)) as process:
        with pytest.raises(TokenProcessLost, match=r"could not sign: .* gone .killed by SIGABRT"):
            process.perform(SIGN)
        with pytest.raises(TokenProcessLost):
            process.perform(SIGN)


def test_closing_ends_the_process_and_can_be_done_twice(access: TokenAccess) -> None:
    process = TokenProcess.logged_in(access)
    process.close()
    process.close()
    assert is_gone(process.pid)


def test_a_process_that_stands_still_cannot_hold_a_close(access: TokenAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_QUICK", 0.2)
    process = TokenProcess.logged_in(access)
    os.kill(process.pid, signal.SIGSTOP)
    process.close()
    assert is_gone(process.pid)


def test_an_interrupt_ends_the_process(token: TokenProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_header: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(frames, "length_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        token.perform(calls.random(4))
    assert is_gone(token.pid)


def test_what_is_used_before_a_login_is_refused() -> None:
    with TokenProcess() as process:
        with pytest.raises(TokenProcessLost, match="no module was loaded"):
            process.perform(calls.tokens())
        with pytest.raises(CallFailed, match="CKR_USER_NOT_LOGGED_IN"):
            process.perform(calls.keys())
