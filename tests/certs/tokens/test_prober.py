"""One token is looked at from outside, by real processes; what it answers has a name, and what hangs is left."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from certs.hsm.access import TokenChoice
from certs.tokens.prober import Condition, Prober
from certs.tokens.token_use import TokenUse
from tests.certs.hsm.clients.test_client import is_gone
from tests.hsm.shim import CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, FUNCTIONS, TokenControl
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token
from tests.tried_tokens import use_of

C = Condition


def prober(use: TokenUse) -> Prober:
    return Prober(asyncio.get_running_loop(), use)


async def test_a_pin_is_tried_by_one_login_and_nothing_stays(use: TokenUse, control: TokenControl) -> None:
    one = prober(use)
    assert (await one.try_pin(20)).condition is C.WELL
    assert (control.calls("C_Login"), control.calls("C_Sign")) == (1, 0)
    assert (one.pid, one.is_logged_in) == (None, False)
    assert one.facts is not None
    assert one.facts.label == "plexi"


@pytest.mark.usefixtures("plexi")
async def test_a_label_does_nothing_to_who_reads_the_log(hsm_site: HsmSite) -> None:
    evil = hsm_site.hsm.add_token("pl\x1b[2J")
    finding = await prober(use_of(hsm_site.hsm, evil, pin="0000-wrong")).try_pin(20)
    assert (finding.condition, finding.error) == (C.REFUSED, "CKR_PIN_INCORRECT")
    assert r"pl\x1b[2J" in finding.detail
    assert finding.detail.isprintable()


async def test_a_wrong_pin_is_latched(hsm_site: HsmSite, plexi: Token, use: TokenUse, control: TokenControl) -> None:
    one = prober(use_of(hsm_site.hsm, plexi, pin="0000-wrong"))
    for _ in range(2):
        finding = await one.try_pin(20)
        assert (finding.condition, finding.error) == (C.REFUSED, "CKR_PIN_INCORRECT")
        assert "plexigate hsm unlatch plexi" in finding.detail
    assert control.calls("C_Login") == 1
    unusable = replace(use, access=replace(use.access, latch_directory=Path("/proc/none")))
    finding = await prober(unusable).try_pin(20)
    assert (finding.condition, finding.error) == (C.REFUSED, "latch_unusable")


async def test_probes_sign_in_a_session_that_lives(use: TokenUse, control: TokenControl) -> None:
    one = prober(use)
    for _ in range(3):
        assert (await one.probe()).condition is C.WELL
    with control.failing(CKR_DEVICE_ERROR, "C_Sign"):
        finding = await one.probe()
        assert (finding.condition, finding.error) == (C.UNWELL, "CKR_DEVICE_ERROR")
    assert one.is_logged_in
    assert (await one.probe()).condition is C.WELL
    assert control.calls("C_Login") == 1
    with control.failing(CKR_DEVICE_REMOVED, "C_Sign"):
        assert (await one.probe()).error == "CKR_DEVICE_REMOVED"
    assert not one.is_logged_in, "such a session stays lost"
    assert control.calls("C_Login") == 2, "it may have been the session alone"
    assert (await one.probe()).condition is C.WELL
    assert control.calls("C_Login") == 3
    await one.close()


async def test_a_session_that_was_lost_since_the_last_look_is_nothing(
    use: TokenUse, control: TokenControl, capfd: pytest.CaptureFixture[str]
) -> None:
    one = prober(use)
    for logins in (1, 2, 3):
        assert (await one.probe()).condition is C.WELL
        assert control.calls("C_Login") == logins
        control.lose_sessions()
    await one.close()
    assert capfd.readouterr().err == ""


async def test_one_key_that_works_is_enough(use: TokenUse) -> None:
    (good,) = use.keys
    missing = replace(good, address=replace(good.address, label="none"))
    one = prober(replace(use, keys=(missing, good)))
    finding = await one.probe()
    assert (finding.condition, finding.missing) == (C.WELL, frozenset({missing.address}))
    one.use = replace(use, keys=(missing,))
    finding = await one.probe()
    assert (finding.condition, finding.error, finding.missing) == (
        C.UNWELL,
        "key_missing",
        frozenset({missing.address}),
    )
    one.kill()


async def test_what_is_not_there_is_absent(use: TokenUse) -> None:
    other = replace(use, access=replace(use.access, token=TokenChoice("other")))
    finding = await prober(other).try_pin(20)
    assert (finding.condition, finding.error) == (C.ABSENT, "no_such_token")
    nowhere = replace(use, access=replace(use.access, module=Path("/none.so")))
    finding = await prober(nowhere).try_pin(20)
    assert (finding.condition, finding.error) == (C.ABSENT, "module_unusable")
    assert not finding.is_module_down


@pytest.mark.parametrize(
    ("code", "name"), [(CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR"), (0x80000102, "CKR 0x80000102")], ids=["usual", "vendor"]
)
async def test_a_module_that_does_not_start_is_absent_and_down(
    hsm_site: HsmSite, use: TokenUse, code: int, name: str
) -> None:
    with hsm_site.hsm.shim.token("").failing(code, "C_Initialize"):
        finding = await prober(use).try_pin(20)
    assert (finding.condition, finding.error, finding.is_module_down) == (C.ABSENT, name, True)
    assert f"found {name} from C_Initialize; allowed: a module whose device" in finding.detail


async def test_what_hangs_is_left(hsm_site: HsmSite, use: TokenUse, control: TokenControl) -> None:
    with hsm_site.hsm.shim.token("").hanging("C_Initialize"):
        finding = await prober(use).try_pin(1.0)
        assert (finding.condition, finding.error, finding.is_module_down) == (C.ABSENT, "deadline", True)
        assert "load its module within 1 s" in finding.detail
    one = prober(use)
    assert (await one.probe()).condition is C.WELL
    pid = one.pid
    assert pid is not None
    with control.hanging("C_Sign"):
        looking = asyncio.get_running_loop().create_task(one.probe())
        await asyncio.to_thread(control.wait_for, "C_Sign", 2)
        one.kill()
        finding = await looking
    assert (finding.condition, finding.error) == (C.UNWELL, "process_lost")
    assert is_gone(pid)


async def test_a_token_that_does_not_answer_takes_no_other_one_along(
    hsm_site: HsmSite, use: TokenUse, control: TokenControl
) -> None:
    spare = use_of(hsm_site.hsm, hsm_site.hsm.add_token("spare"))
    other, ours = prober(spare), prober(use)
    with control.failing(CKR_DEVICE_ERROR, "C_GetTokenInfo"):
        finding = await other.try_pin(20)
        assert finding.condition is C.WELL
        assert finding.facts is not None
        assert finding.facts.label == "spare"
        found = await ours.try_pin(20)
        assert (found.condition, found.detail) == (C.UNWELL, "the token failed to describe itself: CKR_DEVICE_ERROR")
    with control.hanging(*FUNCTIONS):
        finding = await other.try_pin(20)  # its place is known by now
        assert (finding.condition, finding.silent_slots) == (C.WELL, None)
        async with asyncio.TaskGroup() as group:
            looks = [group.create_task(one.try_pin(20)) for one in (ours, prober(spare))]
        found, finding = (one.result() for one in looks)
        assert (found.condition, found.is_late) == (C.UNWELL, True)
        assert found.silent_slots is not None
        (slot,) = found.silent_slots
        assert found.detail == f"no token with label plexi answers: slot {slot} did not within 3 s"
        assert (finding.condition, finding.silent_slots) == (C.WELL, frozenset({slot}))
    assert (await ours.try_pin(20)).silent_slots == frozenset()
    with control.hanging(*FUNCTIONS):
        assert (await ours.try_pin(20)).silent_slots == frozenset({slot}), "where it was before is no promise"
