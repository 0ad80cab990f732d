"""One of two tokens dies under load, in every way in which tokens die: no handshake fails.

What each fault proves is seen on the token that has it: that it was really asked, and that it was really left alone afterwards.
"""

import pytest

from tests.hsm.faults import Fault, errors, hang, lost_sessions, slowness
from tests.hsm.site import HsmSite
from tests.integration.hsm_scene import RETRIED_GROUPS, USUAL_GROUPS, Load, scene

pytestmark = pytest.mark.alone

CLIENTS = 4
LOGINS = 2
"""One of the worker, and one of the parent, which may find that it needs none again."""
# Each way of dying, both keys, with and without a HelloRetryRequest, copies and replicas; all are in `./dev soak tokens`.
CASES = [
    (errors, "ecdsa-p256", RETRIED_GROUPS, False),
    (hang, "rsa-3072", RETRIED_GROUPS, True),
    (slowness, "rsa-3072", USUAL_GROUPS, False),
    (lost_sessions, "ecdsa-p256", USUAL_GROUPS, True),
]


def name_of(value: object) -> str | None:
    """Of a case."""
    names = {USUAL_GROUPS: "hello", RETRIED_GROUPS: "retried", "True": "copies", "False": "replicas"}
    return names.get(str(value), getattr(value, "__name__", None))


@pytest.mark.parametrize(("fault", "kind", "groups", "copies"), CASES, ids=name_of)
def test_no_handshake_fails(hsm_site: HsmSite, fault: Fault, kind: str, groups: str, copies: bool) -> None:  # noqa: FBT001 - a case
    with (
        scene(hsm_site, kind, copies=copies) as one,
        Load(one, one.handshakes(one.client(groups))).running(CLIENTS) as load,
    ):
        load.more(40)
        assert one.spare.calls("C_SignInit") <= 10  # hedges, where the machine is busy
        with fault(one.plexi):
            load.more(120)
            if fault is not lost_sessions:
                one.until(lambda: one.state("plexi") != "closed")
                before = one.plexi.calls("C_SignInit")
                load.more(40)
                assert (
                    one.plexi.calls("C_SignInit") - before <= 10
                )  # probes of two processes, the more the longer it takes
            assert one.spare.calls("C_SignInit") > 0
        one.until(lambda: one.state("plexi") == "closed")
        before = one.plexi.calls("C_SignInit")
        load.more(40)
        assert one.plexi.calls("C_SignInit") - before >= 20
        assert load.errors == []
        assert one.handshakes_failed() == 0


def test_lost_sessions_cost_one_login(hsm_site: HsmSite) -> None:
    with scene(hsm_site) as one, Load(one, one.handshakes(one.client())).running(CLIENTS) as load:
        load.more(20)
        assert one.plexi.calls("C_Login") == LOGINS
        one.plexi.lose_sessions()
        load.more(200)
        one.until(lambda: one.state("plexi") == "closed")
        assert LOGINS < one.plexi.calls("C_Login") <= 2 * LOGINS
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


def test_sessions_of_both_lost_at_once_fail_no_handshake(hsm_site: HsmSite) -> None:
    """Whoever finds both without a session waits until one has logged in again."""
    with scene(hsm_site) as one, Load(one, one.handshakes(one.client())).running(CLIENTS) as load:
        load.more(40)
        one.plexi.lose_sessions()
        one.spare.lose_sessions()
        load.more(40)
        assert LOGINS < one.plexi.calls("C_Login") <= 2 * LOGINS
        assert load.errors == []
        assert one.handshakes_failed() == 0


def test_token_that_dies_while_the_sessions_of_the_other_are_lost_unseen(hsm_site: HsmSite) -> None:
    """Again and again, so that each finds the other where it has just been: the second one needs a login, which clients await."""
    with scene(hsm_site) as one, Load(one, one.handshakes(one.client())).running(CLIENTS) as load:
        load.more(40)
        for _ in range(3):
            one.spare.lose_sessions()
            with errors(one.plexi):
                load.more(60)
            one.until(lambda: one.state("plexi") == one.state("spare") == "closed")
        assert load.errors == []
        assert one.handshakes_failed() == 0
