"""The parent watches a token by real processes behind the shim."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from certs.hsm.process.pin_latch import release_by_name
from certs.tokens.prober import Condition, ProbeFinding, Prober
from certs.tokens.token_use import TokenUse
from proxy.supervisor.tokens.token_watch import TokenWatch
from tests.hsm.shim import CKR_DEVICE_ERROR, TokenControl
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token
from tests.tried_tokens import use_of
from tests.waiting import until_seen

C = Condition
WELL = ProbeFinding(C.WELL)
WORKER = 4_000


class Herald:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.conditions: list[Condition] = []
        self.logins = 0

    def found(self, _token: TokenWatch, finding: ProbeFinding, _before: Condition) -> None:
        self.conditions.append(finding.condition)

    def may_log_in(self, _token: TokenWatch) -> None:
        self.logins += 1


@asynccontextmanager
async def watched(use: TokenUse, finding: ProbeFinding = WELL) -> AsyncIterator[tuple[TokenWatch, Herald]]:
    loop, herald = asyncio.get_running_loop(), Herald()
    watch = TokenWatch(loop, use, finding, herald)
    running = loop.create_task(watch.run())
    try:
        yield watch, herald
    finally:
        running.cancel()
        await asyncio.wait({running})
    assert watch.pid is None


async def test_a_token_that_everybody_finds_well_is_left_alone(use: TokenUse, control: TokenControl) -> None:
    async with watched(use) as (watch, herald):
        await asyncio.sleep(0)
        assert (watch.pid, watch.sessions, herald.conditions) == (None, 0, [])
    assert control.all_calls() == {}


async def test_one_in_trouble_is_probed_until_it_is_over(
    use: TokenUse, control: TokenControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch._KEPT_SECONDS", 0.01)
    async with watched(use) as (watch, herald):
        with control.failing(CKR_DEVICE_ERROR, "C_Sign"):
            watch.trouble(WORKER, is_there=True)
            await until_seen(lambda: len(herald.conditions) >= 2)
            assert set(herald.conditions) == {C.UNWELL}
            assert watch.errors["CKR_DEVICE_ERROR"] >= 2
            assert watch.sessions == 1, "the login lives"
        await until_seen(lambda: herald.conditions[-1] is C.WELL)
        assert watch.good_at is not None
        watch.trouble(WORKER, is_there=False)
        await until_seen(lambda: watch.pid is None)
    assert control.calls("C_Login") == 1
    assert control.calls("C_Sign") == watch.probes


async def test_one_that_comes_and_goes_costs_one_login(use: TokenUse, control: TokenControl) -> None:
    async with watched(use) as (watch, herald), asyncio.timeout(20):
        for count in (1, 2, 3):
            watch.trouble(WORKER, is_there=True)
            await until_seen(lambda: len(herald.conditions) >= count)  # noqa: B023 - called before the next turn
            watch.trouble(WORKER, is_there=False)
            await asyncio.sleep(0)
        assert watch.sessions == 1
    assert control.calls("C_Login") == 1


async def test_a_worker_that_finds_it_well_is_not_let_wait_for_the_back_off(
    use: TokenUse, control: TokenControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch.BACK_OFF_SECONDS", (0.0, 3_600.0))
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch._LIVING_SECONDS", 3_600.0)
    async with watched(use) as (watch, herald):
        async with asyncio.timeout(20):
            with control.failing(CKR_DEVICE_ERROR, "C_Login"):
                watch.trouble(WORKER, is_there=True)
                await until_seen(lambda: herald.conditions == [C.UNWELL])
                watch.hurry()
                await until_seen(lambda: herald.conditions == [C.UNWELL] * 2)
            with control.hanging("C_Login"):
                watch.hurry()
                await asyncio.to_thread(control.wait_for, "C_Login", 3)
                watch.hurry()  # what is in progress began before that
            await until_seen(lambda: herald.conditions == [C.UNWELL, C.UNWELL, C.WELL, C.WELL])


async def test_where_a_worker_looks_the_parent_looks_too_at_most_once_a_second(
    use: TokenUse, control: TokenControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch.BACK_OFF_SECONDS", (0.0, 3_600.0))
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch._ACCOMPANYING_SECONDS", 0.7)
    loop, looks, probe = asyncio.get_running_loop(), list[float](), Prober.probe

    async def noted(prober: Prober) -> ProbeFinding:
        looks.append(loop.time())
        return await probe(prober)

    monkeypatch.setattr(Prober, "probe", noted)
    async with watched(use) as (watch, herald), asyncio.timeout(20):
        with control.failing(CKR_DEVICE_ERROR, "C_Login"):
            watch.trouble(WORKER, is_there=True)
            for count in (1, 2, 3):
                await until_seen(lambda: control.calls("C_Login") == count)  # noqa: B023 - called before the next turn
                for _ in range(5):
                    watch.accompany()
            await until_seen(lambda: len(herald.conditions) >= 3)
    assert min(looks[1] - looks[0], looks[2] - looks[1]) > 0.69, "from beginning to beginning"


async def test_a_hurry_that_is_over_before_it_began_is_none(use: TokenUse, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = 0

    async def close(_prober: Prober) -> None:
        nonlocal closed
        closed += 1
        assert closed < 5, "it turns round and round"

    monkeypatch.setattr(Prober, "close", close)
    async with watched(use) as (watch, herald), asyncio.timeout(20):
        await asyncio.sleep(0)
        watch.trouble(WORKER, is_there=True)
        watch.hurry()
        watch.trouble(WORKER, is_there=False)
        for _ in range(3):
            await asyncio.sleep(0)
        assert (closed, herald.conditions) == (2, [])


async def test_what_hangs_is_a_failure_soon_and_is_awaited(
    use: TokenUse, control: TokenControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch._HANGING_SECONDS", 0.6)
    async with watched(use) as (watch, herald):
        with control.hanging("C_Sign"):
            watch.trouble(WORKER, is_there=True)
            await until_seen(lambda: herald.conditions == [C.UNWELL])
            pid = watch.pid
        await until_seen(lambda: herald.conditions[-1] is C.WELL)
        assert watch.pid == pid, "the call that hung has come back"


async def test_what_hangs_for_ever_is_ended(
    use: TokenUse, control: TokenControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch._HANGING_SECONDS", 0.3)
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch._HOPELESS_SECONDS", 1.0)
    async with watched(use) as (watch, herald):
        with control.hanging("C_Sign"):
            watch.trouble(WORKER, is_there=True)
            await asyncio.to_thread(control.wait_for, "C_Sign", 1)
            pid = watch.pid
            await until_seen(lambda: watch.pid not in (pid, None))
        await until_seen(lambda: C.WELL in herald.conditions)


async def test_a_refused_pin_is_tried_again_when_an_operator_says_so(
    hsm_site: HsmSite, plexi: Token, use: TokenUse, control: TokenControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch._LATCH_SECONDS", 0.01)
    wrong, latches = use_of(hsm_site.hsm, plexi, pin="0000-wrong"), use.access.latch_directory
    loop = asyncio.get_running_loop()
    finding = await Prober(loop, wrong).try_pin(20)
    async with watched(wrong, finding) as (watch, herald):
        watch.trouble(WORKER, is_there=True)
        assert watch.is_refused
        release_by_name(latches, "plexi")
        await asyncio.to_thread(control.wait_for, "C_Login", 2)
        await until_seen(lambda: len(list(latches.glob("*.json"))) == 1)
        watch.hold()
        release_by_name(latches, "plexi")
        watch.release()
        watch.follow(use)  # as if the PIN had been set again in the token
        (latches / "other.json").touch()
        await until_seen(lambda: herald.logins == 1)
        await until_seen(lambda: herald.conditions[-1] is C.WELL and watch.sessions == 1)
    assert control.calls("C_Login") == 2 + 1 + 1, "twice wrong, then by the try and by the probe"


async def test_what_a_worker_says_of_a_pin_is_tried_by_one_login(
    hsm_site: HsmSite, plexi: Token, use: TokenUse, control: TokenControl
) -> None:
    async with watched(use) as (watch, herald), asyncio.timeout(20):
        assert watch.doubt()
        assert not watch.doubt(), "it is in flight"
        await until_seen(lambda: herald.logins == 1)
        assert herald.conditions == [C.WELL]
        watch.trouble(WORKER, is_there=True)
        await until_seen(lambda: watch.sessions == 1 and len(herald.conditions) > 1)
        assert watch.doubt(), "it may be refused later, while a session of ours lives"
        await until_seen(lambda: herald.logins == 2)
        assert control.calls("C_Login") >= 3, "which says nothing of the PIN"
        watch.trouble(WORKER, is_there=False)
    before = control.calls("C_Login")
    wrong = use_of(hsm_site.hsm, plexi, pin="0000-wrong")
    async with watched(wrong) as (watch, herald), asyncio.timeout(20):
        assert watch.doubt()
        await until_seen(lambda: watch.is_refused)
        assert not watch.doubt()
        assert len(list(wrong.access.latch_directory.glob("*.json"))) == 1
    assert (herald.conditions, herald.logins) == ([C.REFUSED], 0)
    assert control.calls("C_Login") == before + 1


async def test_a_token_that_says_nothing_about_its_pin_is_asked_again(use: TokenUse, control: TokenControl) -> None:
    async with watched(use) as (watch, herald), asyncio.timeout(20):
        with control.failing(CKR_DEVICE_ERROR, "C_Login"):
            watch.doubt()
            await until_seen(lambda: herald.conditions == [C.UNWELL] * 2)
            assert herald.logins == 0
        await until_seen(lambda: herald.logins == 1)
        assert herald.conditions[-1] is C.WELL
        assert not list(use.access.latch_directory.glob("*.json"))
