"""One of two tokens dies under load, in every way in which tokens die: no handshake fails.

What each fault proves is seen on the token that has it: that it was really asked, and that it was really left alone afterwards.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.hsm.shim import CKR_DEVICE_ERROR, TokenControl
from tests.hsm.site import HsmSite
from tests.integration.hsm_scene import EVERYTHING, RETRIED_GROUPS, SIGNATURES, USUAL_GROUPS, Load, scene

Fault = Callable[[TokenControl], AbstractContextManager[None]]
CLIENTS = 4


@contextmanager
def errors(token: TokenControl) -> Iterator[None]:
    with token.failing(CKR_DEVICE_ERROR, *EVERYTHING):
        yield


@contextmanager
def hang(token: TokenControl) -> Iterator[None]:
    with token.hanging(*SIGNATURES):
        yield


@contextmanager
def slowness(token: TokenControl) -> Iterator[None]:
    token.delay(1_500, "C_Sign", "C_SignFinal")
    try:
        yield
    finally:
        token.delay(0, "C_Sign", "C_SignFinal")


@contextmanager
def lost_sessions(token: TokenControl) -> Iterator[None]:
    token.lose_sessions()
    yield


@pytest.mark.parametrize("fault", [errors, hang, slowness, lost_sessions])
@pytest.mark.parametrize("groups", [USUAL_GROUPS, RETRIED_GROUPS], ids=["hello", "retried"])
@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-3072"])
def test_no_handshake_fails(hsm_site: HsmSite, kind: str, groups: str, fault: Fault) -> None:
    with scene(hsm_site, kind) as one, Load(one, one.client(groups)).running(CLIENTS) as load:
        load.more(40)
        assert one.spare.calls("C_SignInit") <= 10  # hedges, where the machine is busy
        with fault(one.plexi):
            load.more(120)
            if fault is not lost_sessions:
                one.until(lambda: one.state("plexi") != "closed")
                before = one.plexi.calls("C_SignInit")
                load.more(40)
                assert one.plexi.calls("C_SignInit") - before <= 2  # probes, where there were some
            assert one.spare.calls("C_SignInit") > 0
        one.until(lambda: one.state("plexi") == "closed")
        before = one.plexi.calls("C_SignInit")
        load.more(40)
        assert one.plexi.calls("C_SignInit") - before >= 20
        assert load.errors == []
        assert one.metric("failures_total", listener="public") == 0


def test_lost_sessions_cost_one_login(hsm_site: HsmSite) -> None:
    with scene(hsm_site) as one, Load(one, one.client()).running(CLIENTS) as load:
        load.more(20)
        assert one.plexi.calls("C_Login") == 1
        one.plexi.lose_sessions()
        load.more(200)
        one.until(lambda: one.state("plexi") == "closed")
        assert one.plexi.calls("C_Login") == 2
        assert load.errors == []


def test_hedge_wins_and_is_counted(hsm_site: HsmSite) -> None:
    with scene(hsm_site) as one:
        context = one.client()
        for _ in range(10):
            one.handshake(context)
        one.plexi.delay(3_000, "C_Sign")
        assert one.handshake(context) < 2.0
        assert one.metric("token_hedges_total", token="plexi") == 1
        assert one.metric("token_hedges_won_total", token="spare") == 1
        assert one.metric("token_errors_total") == 0


def test_spread_uses_both(hsm_site: HsmSite) -> None:
    with scene(hsm_site, settings="spread = true\n") as one:
        context = one.client()
        for _ in range(10):
            one.handshake(context)
        assert one.plexi.calls("C_Sign") == one.spare.calls("C_Sign") == 5
