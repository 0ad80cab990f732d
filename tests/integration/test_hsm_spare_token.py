"""A token that only stands in for another one goes away and comes back: no connection of a client pays for that."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.certs.authority import private_key
from tests.hsm.faults import SIGNATURES
from tests.hsm.shim import CKR_DEVICE_ERROR
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import SoftHsm, besides, remarks_of
from tests.integration.gateway import complaints, events
from tests.integration.hsm_scene import ROUTE, Load, Scene, running, scene_of
from tests.integration.stage import workers_of

pytestmark = pytest.mark.paced

SOCKETS = 50
# Ten seconds without a signature, a look each five, and the probes after that.
IDLE_SECONDS = 40.0


@contextmanager
def echo() -> Iterator[int]:
    """A WebSocket server that repeats what it hears; answers its port."""

    def repeat(websocket: ServerConnection) -> None:
        for message in websocket:
            websocket.send(message)

    with serve(repeat, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def two_tokens(site: HsmSite, port: int) -> Iterator[tuple[Scene, SoftHsm]]:
    """A proxy of two workers with one key in plexi and in spare, which can be put away to another place and back."""
    plexi, spare = site.hsm.add_token("plexi"), site.hsm.add_token("spare", "another-pin")
    public = site.hsm.share("chat", plexi, spare)
    away = SoftHsm.make(site.directory / "away", site.hsm.shim.module)
    configuration = site.write(
        site.tokens(plexi, spare),
        site.identity("localhost", public, "pkcs11:token=plexi;object=chat", "pkcs11:token=spare;object=chat"),
        ROUTE.replace("127.0.0.1:1", f"127.0.0.1:{port}"),
        workers=2,
    )
    with running(site, configuration) as run:
        yield scene_of(site, run), away
    assert complaints(run.output) == []


def websocket(one: Scene) -> ClientConnection:
    """One through the proxy."""
    return connect(f"wss://localhost:{one.port}/", ssl=one.client(), ping_interval=None)


def alive(several: list[ClientConnection]) -> int:
    """How many still answer."""
    count = 0
    for one in several:
        try:
            one.send("still there?")
            count += one.recv(10) == "still there?"
        except ConnectionClosed:
            continue
    return count


def states(one: Scene, token: str, state: str) -> float:
    """How many workers have the breaker of a token so."""
    return one.metric("token_state", token=token, state=state)


def test_no_websocket_is_closed_for_a_spare_token_that_comes_back(hsm_site: HsmSite) -> None:
    with echo() as port, two_tokens(hsm_site, port) as (one, away), ExitStack() as closing:
        before = workers_of(one.running.pid)
        told = len(events(one.running.output, "worker_blind"))  # a module that loads beside others may miss a token
        several = [closing.enter_context(websocket(one)) for _ in range(SOCKETS)]
        assert alive(several) == SOCKETS
        hsm_site.hsm.put_into(away, "spare")
        one.until(lambda: states(one, "spare", "closed") == 0, IDLE_SECONDS)
        away.put_into(hsm_site.hsm, "spare")
        one.until(lambda: states(one, "spare", "closed") == 2, IDLE_SECONDS)
        assert workers_of(one.running.pid) == before
        assert alive(several) == SOCKETS
        assert len(events(one.running.output, "worker_blind")) == told
        with one.plexi.failing(CKR_DEVICE_ERROR, *SIGNATURES):
            for _ in range(4):
                one.connect(one.client()).close()  # by the spare, as nothing else can: it is really used again


def test_where_no_copy_of_the_module_helps_a_worker_is_replaced_only_if_an_identity_depends_on_it(
    hsm_site: HsmSite,
) -> None:
    """As with p11-kit's proxy: its modules are libraries of their own, which a copy of the proxy finds as they are."""
    (proxy,) = Path("/usr/lib").glob("*/p11-kit-proxy.so")
    plexi, private = hsm_site.hsm.add_token("plexi"), private_key("ecdsa-p256")
    public = hsm_site.hsm.share("chat", plexi, key=private)
    made = SoftHsm.make(hsm_site.directory / "later", hsm_site.hsm.shim.module)
    spare = made.add_token("spare", "another-pin")
    made.share("chat", spare, key=private)
    twins = ("pkcs11:token=plexi;object=chat", "pkcs11:token=spare;object=chat")
    parts = [
        hsm_site.tokens(plexi, spare).replace(str(hsm_site.hsm.shim.module), str(proxy)),
        hsm_site.identity("localhost", public, *twins),
        ROUTE,
    ]
    with running(hsm_site, hsm_site.write(*parts, workers=2)) as run:
        one = scene_of(hsm_site, run)
        before = workers_of(run.pid)
        made.put_into(hsm_site.hsm)
        one.until(lambda: len(events(run.output, "worker_blind")) == 2, IDLE_SECONDS)
        assert [event["replaced"] for event in events(run.output, "worker_blind")] == [False, False]
        assert workers_of(run.pid) == before
        one.handshake(one.client())
        parts += [hsm_site.identity("other", public, twins[1]), '[[route]]\nhost = "other"\nupstream = "chat"\n']
        hsm_site.write(*parts, workers=2)
        with Load(one, one.handshakes(one.client())).running(1) as load:
            os.kill(run.pid, signal.SIGHUP)
            one.until(lambda: len(events(run.output, "worker_joined")) == 2, IDLE_SECONDS)
            one.until(lambda: not set(before) & set(workers_of(run.pid)))
        assert load.errors == []
        told = [(event["event"], event.get("replaced")) for event in told_in_order(run.output)]
        assert told == [("worker_blind", True), ("worker_joined", None)] * 2, "\n".join(
            ["one after the other", *(line for line in run.output if '"client"' not in line)]
        )
        one.until(lambda: one.serves(one.client(), "other"))
    remarks = remarks_of(proxy, {**os.environ, **hsm_site.hsm.environment})
    assert besides(remarks, complaints(run.output)) == []


def told_in_order(output: list[str]) -> list[dict[str, Any]]:
    """Who is replaced, and who joins."""
    lines = [json.loads(line) for line in output if line.startswith("{")]
    return [one for one in lines if one.get("event") == "worker_joined" or one.get("replaced")]
