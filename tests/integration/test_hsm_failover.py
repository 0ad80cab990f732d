"""One of two tokens dies under load, in every way there is: no client hears of it. Both die: refused at once, and back soon."""

import ssl
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.hsm.shim import TokenControl
from tests.hsm.site import HsmSite
from tests.integration.hsm_scene import EVERYTHING, RETRIED_GROUPS, SIGNATURES, USUAL_GROUPS, Load, scene

CKR_DEVICE_ERROR = 0x30
CLIENTS = 4
HANDSHAKES = 60

Dying = Callable[[TokenControl], AbstractContextManager[None]]


def by_errors(token: TokenControl) -> AbstractContextManager[None]:
    return token.failing(CKR_DEVICE_ERROR, *SIGNATURES)


def by_hanging(token: TokenControl) -> AbstractContextManager[None]:
    return token.hanging(*EVERYTHING)


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-3072"])
@pytest.mark.parametrize("groups", [USUAL_GROUPS, RETRIED_GROUPS], ids=["at-once", "retried"])
@pytest.mark.parametrize("dying", [by_errors, by_hanging])
def test_no_handshake_fails_while_one_of_two_tokens_dies(
    hsm_site: HsmSite, kind: str, groups: str, dying: Dying
) -> None:
    with scene(hsm_site, kind) as running, Load(running, running.client(groups)).running(CLIENTS) as load:
        load.more(HANDSHAKES)
        with dying(running.plexi):
            load.more(HANDSHAKES)
        load.more(HANDSHAKES)
        assert running.plexi.calls("C_SignInit") > 0, "it was asked"
        assert running.spare.calls("C_SignInit") > 0, "the other one stood in"
    assert load.errors == []


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-3072"])
def test_lost_sessions_and_slowness_fail_no_handshake(hsm_site: HsmSite, kind: str) -> None:
    with scene(hsm_site, kind) as running, Load(running, running.client()).running(CLIENTS) as load:
        load.more(HANDSHAKES)
        running.plexi.lose_sessions()
        load.more(HANDSHAKES)
        running.plexi.delay(300, *SIGNATURES)
        load.more(HANDSHAKES)
        running.plexi.delay(0, *SIGNATURES)
        load.more(HANDSHAKES)
    assert load.errors == []


def test_with_all_tokens_dead_resumptions_go_on_new_clients_are_refused_and_it_recovers(hsm_site: HsmSite) -> None:
    with scene(hsm_site) as running:
        context = running.client()
        session = running.resumable(context)
        with by_errors(running.plexi), by_errors(running.spare):
            for _ in range(20):
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    running.handshake(running.client())
            began = time.monotonic()
            with pytest.raises((ssl.SSLError, ConnectionError)):
                running.handshake(running.client())
            assert time.monotonic() - began < 1.0, "refused at once"
            assert running.metric("failures_total", reason="signing_unavailable") > 0, "counted by its reason"
            with running.connect(context, session) as tls:
                assert tls.session_reused
        back = time.monotonic()

        def serves() -> bool:
            try:
                running.handshake(running.client())
            except (ssl.SSLError, ConnectionError):
                return False
            return True

        running.until(serves)
        assert time.monotonic() - back < 2.0
