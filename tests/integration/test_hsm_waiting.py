"""Nobody waits for a token but who needs its signature: not the loop, not others, not the end of the process."""

import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from proxy.figures.histogram import LAG_SECONDS, quantile
from tests.configurations import identity, limits
from tests.hsm.faults import EVERYTHING, SIGNATURES
from tests.hsm.shim import CKR_DEVICE_ERROR
from tests.hsm.site import HsmSite
from tests.integration.hsm_scene import CLIENT_SECONDS, RETRIED_GROUPS, USUAL_GROUPS, Load, Scene, ask, scene
from tests.integration.stage import workers_of
from tests.waiting import is_alive

pytestmark = pytest.mark.paced

LAG_ALLOWED = 0.010
DRAIN_SECONDS = 3.0
A_HANDSHAKE = 1.0
"""Seconds that one takes at most on a busy machine, where it waits for no token."""


def lag(one: Scene) -> list[int]:
    """How often each lag of the loop was seen so far, by bucket."""
    cumulative = [int(sample.value) for sample in one.samples("loop_lag_seconds_bucket")]
    return [after - before for before, after in zip([0, *cumulative], cumulative, strict=False)]


def lag_during(one: Scene, before: list[int]) -> float:
    """Below what 99 of 100 were since then, in seconds."""
    counts = [now - then for then, now in zip(before, lag(one), strict=True)]
    found = quantile(LAG_SECONDS, counts, 0.99)
    assert found is not None
    return found


@pytest.mark.alone
def test_loop_and_established_connections_do_not_wait(hsm_site: HsmSite) -> None:
    """200 ms a signature; what the machine itself adds is measured before."""
    with scene(hsm_site) as one:
        context = one.client()
        with one.connect(context) as established:
            quiet = lag(one)
            one.until(lambda: sum(lag(one)) - sum(quiet) >= 30)
            allowed = max(LAG_ALLOWED, lag_during(one, quiet))
            for token in (one.plexi, one.spare):
                token.delay(200, "C_Sign")
            before, times = lag(one), []
            with Load(one, one.handshakes(context)).running(16) as load:
                for _ in range(100):
                    began = time.perf_counter()
                    assert ask(established) == 502
                    times.append(time.perf_counter() - began)
                load.more(60)
            assert lag_during(one, before) <= allowed
            assert sorted(times)[50] < LAG_ALLOWED
            assert load.errors == []


@pytest.mark.alone
def test_a_token_a_network_away_changes_nothing_for_who_does_not_wait_for_it(hsm_site: HsmSite) -> None:
    """40 ms a call, and its sessions are lost again and again, as those of an HSM in a cloud; another one is as far away."""
    files = identity("files", ("files.test",), hsm_site.authority.issue("files", ("files.test",)))
    with scene(hsm_site, further=f'{files}[[route]]\nhost = "files.test"\nupstream = "chat"\n') as one:
        context = one.client()
        session = one.resumable(context)
        with one.connect(context) as established:

            def resume() -> None:
                with one.connect(context, session) as tls:
                    assert tls.session_reused

            uses: dict[str, Callable[[], object]] = {
                "a key in a file": lambda: one.handshake(context, "files.test"),
                "a resumption": resume,
                "a request": lambda: ask(established),
            }
            near = {name: seconds_of(use) for name, use in uses.items()}
            one.plexi.move_away(40, signatures=10)
            one.spare.move_away(40, signatures=0)
            with Load(one, one.handshakes(context)).running(4) as load:
                load.more(4)
                far = {name: seconds_of(use) for name, use in uses.items()}
                one.until(lambda: one.plexi.losses > 0)
        for token in (one.plexi, one.spare):
            token.move_away(0, signatures=0)
    assert load.errors == []
    assert sorted(load.times)[len(load.times) // 2] >= 0.080, "two calls make a signature"
    assert {name: (near[name], far[name]) for name in far if far[name] > 1.5 * near[name] + 0.002} == {}


def seconds_of(use: Callable[[], object]) -> float:
    """The median of some."""
    times = []
    for _ in range(30):
        began = time.perf_counter()
        use()
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]


class TestDeadTokens:
    """Both are gone, by errors or by silence."""

    @pytest.mark.parametrize("groups", [USUAL_GROUPS, RETRIED_GROUPS], ids=["hello", "retried"])
    def test_resumptions_go_on(self, hsm_site: HsmSite, groups: str) -> None:
        with scene(hsm_site) as one:
            context = one.client(groups)
            sessions = [one.resumable(context) for _ in range(3)]
            for token in (one.plexi, one.spare):
                token.lose_sessions()
            with one.plexi.failing(CKR_DEVICE_ERROR, *EVERYTHING), one.spare.hanging(*EVERYTHING):
                for session in sessions:
                    with one.connect(context, session) as tls:
                        assert tls.session_reused
                        assert ask(tls) == 502

    def test_refusals_are_quick_and_say_why(self, hsm_site: HsmSite) -> None:
        with scene(hsm_site) as one:
            context = one.client()
            with one.connect(context) as established:
                with one.plexi.failing(CKR_DEVICE_ERROR, *EVERYTHING), one.spare.failing(CKR_DEVICE_ERROR, *EVERYTHING):
                    for _ in range(4):
                        with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):
                            one.connect(context)
                    one.until(lambda: one.state("plexi") == one.state("spare") == "open")
                    signatures = one.plexi.calls("C_SignInit") + one.spare.calls("C_SignInit")
                    began = time.perf_counter()
                    for _ in range(20):
                        with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):
                            one.connect(context)
                    assert time.perf_counter() - began < 5.0
                    asked = one.plexi.calls("C_SignInit") + one.spare.calls("C_SignInit") - signatures
                    assert asked <= 4  # probes
                    assert one.metric("failures_total", reason="signing_unavailable") == 24
                assert ask(established) == 502

    def test_they_are_used_again_within_two_seconds(self, hsm_site: HsmSite) -> None:
        with scene(hsm_site) as one:
            context = one.client()
            one.handshake(context)
            with one.plexi.failing(CKR_DEVICE_ERROR, *EVERYTHING), one.spare.failing(CKR_DEVICE_ERROR, *EVERYTHING):
                for _ in range(4):
                    with pytest.raises(ssl.SSLError):
                        one.connect(context)
                one.until(lambda: one.metric("token_probes_failed_total", token="plexi") >= 2)
            back = time.perf_counter()
            one.until(lambda: one.serves(context), seconds=10.0)
            assert time.perf_counter() - back < 2.0 + A_HANDSHAKE

    def test_hanging_ones_are_used_again_as_soon_as_they_answer(self, hsm_site: HsmSite) -> None:
        with scene(hsm_site) as one:
            context = one.client()
            one.handshake(context)
            with one.plexi.hanging(*SIGNATURES), one.spare.hanging(*SIGNATURES):
                with ThreadPoolExecutor(3) as clients:
                    assert not any(clients.map(one.serves, [context] * 3))
                one.until(lambda: one.state("plexi") == one.state("spare") == "open", seconds=30.0)
                assert one.metric("token_lost", token="plexi") >= 1
                assert one.metric("failures_total", reason="signing_timeout") >= 1
            back = time.perf_counter()
            one.until(lambda: one.serves(context), seconds=10.0)
            assert time.perf_counter() - back < 2.0 + A_HANDSHAKE
            one.until(lambda: one.metric("token_lost") == 0)


def test_identity_with_a_key_in_a_file_is_served_while_tokens_hang(hsm_site: HsmSite) -> None:
    files = hsm_site.authority.issue("files", ("files.test",))
    further = f'[identity.files]\nnames = ["files.test"]\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n'
    further += '[[route]]\nhost = "files.test"\nupstream = "chat"\n'
    with scene(hsm_site, further=further) as one, one.plexi.hanging(*EVERYTHING), one.spare.hanging(*EVERYTHING):
        context = one.client()
        hanging = [threading.Thread(target=one.serves, args=(context,)) for _ in range(30)]
        for thread in hanging:
            thread.start()
        one.until(lambda: one.metric("token_signing") + one.metric("token_lost") >= 20)
        times = [one.handshake(context, "files.test") for _ in range(20)]
        assert sorted(times)[10] < A_HANDSHAKE
        for thread in hanging:
            thread.join()


def test_clients_that_leave_take_no_signature_from_those_that_wait(hsm_site: HsmSite) -> None:
    """One thread for each token, and both are busy: of those behind, all but one leave before their turn."""
    with scene(hsm_site, sessions={"plexi": 4, "spare": 4}) as one:
        context = one.client()
        with one.plexi.hanging(*SIGNATURES), one.spare.hanging(*SIGNATURES):
            with ExitStack() as stack:
                for _ in range(20):
                    sock = stack.enter_context(socket.create_connection(("127.0.0.1", one.port), CLIENT_SECONDS))
                    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                    with suppress(ssl.SSLWantReadError):
                        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
                    sock.sendall(outgoing.read())
                one.until(lambda: one.metric("token_queued") >= 18)
            one.until(lambda: one.metric("token_queued") == 0)
            assert one.metric("failures_total", reason="client_left") == 20
            waiting = threading.Thread(target=one.handshake, args=(context,))
            waiting.start()
            one.until(lambda: one.metric("token_queued") >= 1)
        waiting.join()
        assert one.plexi.calls("C_Sign") + one.spare.calls("C_Sign") <= 4


def test_process_ends_in_its_time_with_sixteen_hung_signatures(hsm_site: HsmSite) -> None:
    further = limits({"drain_timeout": f"{DRAIN_SECONDS:.0f}s"})
    with scene(hsm_site, further=further, sessions={"plexi": 19, "spare": 19}) as one:
        context = one.client()
        with one.plexi.hanging(*SIGNATURES), one.spare.hanging(*SIGNATURES):
            clients = [threading.Thread(target=one.serves, args=(context,)) for _ in range(40)]
            for thread in clients:
                thread.start()
            one.until(
                lambda: one.metric("token_signing", token="plexi") + one.metric("token_lost", token="plexi") == 16
            )
            (worker,) = workers_of(one.running.pid)
            began = time.monotonic()
            os.kill(one.running.pid, signal.SIGTERM)
            one.until(lambda: not is_alive(worker))
            assert time.monotonic() - began < DRAIN_SECONDS + 2.0
            for thread in clients:
                thread.join()
