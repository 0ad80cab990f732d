"""HTTP/3 through a reload, with tokens that die under handshakes, and beside signatures that take their time.

The clients of the handshakes are OpenSSL's, with a hybrid group; those of the requests are aioquic's. `events` has what is tried and
what is demanded of it; `tests/integration/test_http3_through_events.py` is the short form.
"""

import itertools
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import quantiles

from rich.console import Console
from rich.table import Table

from proxy.quic.availability import unavailable
from proxy.quic.probing import shake_hands
from tests.certificates import Authority
from tests.configurations import listener
from tests.hostile import http2_frames as h2
from tests.hostile import http3_frames as h3
from tests.hostile.client import Address
from tests.hostile.http3_client import Http3Client
from tests.hostile.quic_client import QuicClient
from tests.hostile.strict import NotStrict
from tests.hsm.faults import FAULTS
from tests.hsm.shim import build_shim
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import SOFTHSM
from tests.integration import hsm_scene
from tests.soak.scenes import scene
from tests.waiting import until_found

CONNECTIONS = 1_000
HANDSHAKES = 10_000
SAMPLES = 2_000
LATE_MS = 4_000
"""How long a server takes for what is asked before a reload, so that all of it is in flight in the reload."""
AT_ONCE = 10
SIGNATURE_MS = 200
MOST_P99_SECONDS = 0.040
_SECONDS = 10.0
_WHILE_DEAD, _BETWEEN = 100, 20
_PATIENCE_SECONDS = 60.0
_ENOUGH = 3
_LISTENER = 'bind = "127.0.0.1:0"\nexempt = ["127.0.0.1"]\nhttp3 = true'
_OTHER_ROUTE = '[[route]]\nhost = "localhost"\npath = "/other"\nupstream = "backend"\n'


@dataclass
class Figures:
    """What happened in one event."""

    facts: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def reloaded(directory: Path, connections: int = CONNECTIONS, late_ms: int = LATE_MS) -> Figures:
    """A reload with a request in flight on each connection, and another one on each after it. None may be lost."""
    figures = Figures()
    # by default a request gets 503 that is beyond 512 of a worker
    route = f'connections = {connections}\n[[route]]\nhost = "localhost"\nupstream = "backend"\n'
    with scene(directory, listener=_LISTENER, workers=2, route=route) as running, ExitStack() as stack:
        until_found(lambda: running.events("http3_offered"))
        clients = [stack.enter_context(_client(running.port, running.authority)) for _ in range(connections)]
        asked = h3.headers(h2.fields(f"/late/{late_ms}".encode(), authority=b"localhost"))
        held = [client.begin(asked, ends=True) for client in clients]
        asked_at = time.monotonic()
        for client in clients:
            client.quic.send_due()
        running.route += _OTHER_ROUTE
        running.write()
        began = time.monotonic()
        running.signal(signal.SIGHUP)
        until_found(lambda: running.events("reloaded", "reload_failed"), _PATIENCE_SECONDS)
        figures.facts["the reload"] = f"{time.monotonic() - began:.2f} s"
        if time.monotonic() - asked_at >= late_ms / 1_000:
            figures.wrong.append("some requests were answered before the reload")
        again = h3.headers(h2.fields(b"/again", authority=b"localhost"))
        asks = [partial(_fault, client, partial(client.answer, one)) for client, one in zip(clients, held, strict=True)]
        asks += [partial(_fault, client, partial(client.ask, again)) for client in clients]
        # each one that is lost takes seconds to be noticed
        lost = list(itertools.islice((fault for ask in asks if (fault := ask())), _ENOUGH))
        figures.facts |= {"connections": f"{connections:,}", "lost": str(len(lost))}
        figures.wrong += lost
        figures.wrong += [str(one) for one in running.events("reload_failed", "error", "worker_ended")]
    return figures


def tokens_killed(site: HsmSite, handshakes: int = HANDSHAKES, while_dead: int = _WHILE_DEAD) -> Figures:
    """One token or the other dies under handshakes, in each way. None may fail."""
    figures = Figures()
    with hsm_scene.scene(site, further=listener("three", http3=True)) as one:
        load = hsm_scene.Load(one, partial(_handshake, _port(one)))
        deaths = 0
        with load.running(AT_ONCE):
            load.more(_BETWEEN)
            for fault, token in itertools.cycle(itertools.product(FAULTS, ("plexi", "spare"))):
                if load.count >= handshakes:
                    break
                with fault({"plexi": one.plexi, "spare": one.spare}[token]):
                    load.more(while_dead)
                one.until(lambda: one.is_used("plexi") and one.is_used("spare"), seconds=_PATIENCE_SECONDS)
                load.more(_BETWEEN)
                deaths += 1
        figures.facts = {
            "handshakes": f"{load.count:,}",
            "failed": str(len(load.errors)),
            "deaths": str(deaths),
            "slowest": f"{max(load.times):.2f} s",
        }
        figures.wrong += map(str, load.errors)
        if failed := one.handshakes_failed():
            figures.wrong.append(f"the proxy counts {failed:g} failed handshakes")
        figures.wrong += [f"no token signed for {token}" for token in _idle(one)]
    return figures


def slow_signatures(site: HsmSite, samples: int = SAMPLES) -> Figures:
    """Requests on an established connection beside handshakes whose signatures take their time. They may not wait for these."""
    figures = Figures()
    with hsm_scene.scene(site, further=listener("three", http3=True)) as one:
        port = _port(one)
        with _client(port, one.site.authority) as client:
            alone = _p99(_times(client, samples // 4, figures))
            for token in (one.plexi, one.spare):
                token.delay(SIGNATURE_MS, "C_Sign")
            load = hsm_scene.Load(one, partial(_handshake, port))
            with load.running(AT_ONCE):
                load.more(AT_ONCE)
                before = load.count
                times = _times(client, samples, figures, lambda: load.count >= before + AT_ONCE)
                beside = _p99(times)
                meanwhile = load.count - before
        figures.facts = {
            "p99": f"{beside * 1_000:.1f} ms",
            "p99 without signatures": f"{alone * 1_000:.1f} ms",
            "requests": f"{len(times):,}",
            "handshakes meanwhile": str(meanwhile),
            "fastest handshake": f"{min(load.times) * 1_000:.0f} ms",
        }
        if beside >= MOST_P99_SECONDS:
            figures.wrong.append(f"p99 of an established client: {beside * 1_000:.1f} ms")
        if meanwhile < AT_ONCE or min(load.times) < SIGNATURE_MS / 1_000:
            figures.wrong.append("the signatures were not slow meanwhile")
        figures.wrong += map(str, load.errors)
    return figures


def _client(port: int, authority: Authority) -> Http3Client:
    return Http3Client(QuicClient(Address(port, authority.path), "localhost")).open()


def _handshake(port: int) -> float:
    """How long it took. Raises `ConnectionError`."""
    began = time.monotonic()
    error = shake_hands(("127.0.0.1", port), "localhost", _SECONDS)
    if error is not None:
        raise ConnectionError(error)
    return time.monotonic() - began


def _fault(client: Http3Client, answered: Callable[[], object]) -> str:
    """What was wrong with an answer of 200, if anything."""
    try:
        answered()
    except (NotStrict, AssertionError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    last = client.streams[max(one for one in client.streams if one % 4 == 0)]
    return "" if last.status == 200 else f"status {last.status}"


def _times(
    client: Http3Client, samples: int, figures: Figures, is_enough: Callable[[], bool] = lambda: True
) -> list[float]:
    """How long requests of one client took, one after the other: so many, and on until it is enough. In seconds."""
    times: list[float] = []
    while len(times) < samples or not is_enough():
        began = time.perf_counter()
        answer = client.ask(h3.headers(h2.fields(b"/%d" % len(times), authority=b"localhost")))
        times.append(time.perf_counter() - began)
        if answer.status != 502:  # by the proxy: there is nobody behind it
            figures.wrong.append(f"status {answer.status}")
    return times


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[-1]


def _port(one: hsm_scene.Scene) -> int:
    return int(one.running.ready["three"][0].rpartition(":")[2])


def _idle(one: hsm_scene.Scene) -> list[str]:
    tokens = {"plexi": one.plexi, "spare": one.spare}
    return [name for name, token in tokens.items() if not token.calls("C_SignInit")]


@contextmanager
def _site() -> Iterator[HsmSite]:
    with tempfile.TemporaryDirectory(prefix="plexigate-http3-") as directory:
        site = HsmSite.make(Path(directory), build_shim(Path(directory), SOFTHSM))
        try:
            yield site
        finally:
            site.hsm.shim.close()


def _reload() -> Figures:
    with tempfile.TemporaryDirectory(prefix="plexigate-http3-") as directory:
        return reloaded(Path(directory))


def _tokens() -> Figures:
    with _site() as site:
        return tokens_killed(site)


def _signatures() -> Figures:
    with _site() as site:
        return slow_signatures(site)


EVENTS = {
    "a reload": _reload,
    "tokens killed under handshakes": _tokens,
    f"{AT_ONCE} signatures of {SIGNATURE_MS} ms at a time": _signatures,
}


def run(_minutes: float, console: Console) -> list[str]:
    """Run it; answers what is wrong."""
    reason = unavailable()
    if reason is not None:
        return [str(reason)]
    wrong: list[str] = []
    table = Table("event", "s", "figures", "wrong", title="HTTP/3")
    for name, happen in EVENTS.items():
        began = time.monotonic()
        figures = happen()
        facts = "; ".join(f"{what}: {how}" for what, how in figures.facts.items())
        table.add_row(name, f"{time.monotonic() - began:.0f}", facts, str(len(figures.wrong)))
        console.print(f"{name}: {facts}", highlight=False)
        wrong += [f"{name}: {one}" for one in figures.wrong]
    console.print(table)
    return wrong
