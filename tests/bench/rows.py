"""The rows of the table, by the names that `--only` takes: how each is measured, and what is wanted of it."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from tests.bench import bulk, differing, exchanges, growth, http2, http3, load, memory, payload, replay, signing
from tests.bench.measuring import Scene, exchange_row, late_rounds
from tests.bench.report import OURS, Row
from tests.bench.servers import LARGE, MESSAGE, PICTURE, Server

HANDSHAKES = 400
_HANDSHAKE = "full handshake X25519MLKEM768, request, close"
SOCKETS = 200
# The handshakes of their connections are 0.2 µs of each request, and 1 µs of each picture.
H2_UPSTREAM = http2.Load(f"/h2{MESSAGE}", requests=30_000, connections=10, streams=10)
_BESIDE_ROUNDS = 5
H2_PICTURES = http2.Load(PICTURE, requests=4_000, connections=1, streams=100)

Measure = Callable[[Scene], list[Row]]


def _differing(
    key: str, title: str, exchange: exchanges.Exchange, wanted: float, h2_wanted: float
) -> Mapping[str, Measure]:
    """The same requests over both protocols."""

    def old(scene: Scene) -> list[Row]:
        return [replace(exchange_row(scene, exchange, title, wanted), key=key)]

    def new(scene: Scene) -> list[Row]:
        sent = replace(exchange, kind=exchanges.Kind.H2)
        return [replace(exchange_row(scene, sent, f"h2: {title}", h2_wanted), key=f"h2-{key}")]

    old.__doc__ = f"{title}."
    new.__doc__ = "The same over HTTP/2."
    return {key: old, f"h2-{key}": new}


DIFFERING = {
    **_differing("get-both", "GET: 2 fields and the answer new", differing.BOTH, 1.5, 1.6),
    **_differing("get", "GET: the same again", differing.SAME, 1.0, 1.1),
    **_differing("get-path", "GET: the path new", differing.PATH, 1.3, 1.3),
    **_differing("get-fields", "GET: 2 fields new", differing.FIELDS, 1.5, 1.6),
    **_differing("get-answer", "GET: the answer new", differing.ANSWER, 1.3, 1.3),
    **_differing("post-new", "POST of 1 KiB: all new", differing.POST_NEW, 1.5, 1.6),
    **_differing("post", "POST of 1 KiB: the same again", differing.POST_SAME, 1.0, 1.1),
}
"""The headline comes first: what users send."""


def h2_picture(scene: Scene) -> list[Row]:
    """A page of pictures over one connection of HTTP/2."""
    title = f"64 KiB response over h2 ({H2_PICTURES.streams} streams)"
    return [Row("h2-picture", title, "µs CPU", _http2_rounds(scene, H2_PICTURES), 1.3)]


def h2_beside(scene: Scene) -> list[Row]:
    """Small answers beside a large one on the same connection of HTTP/2."""
    title = "p99 of a small GET beside a 100 MB download, one h2 connection"
    bench = scene.bench
    rounds = [
        {one.name: http2.late_beside_download(one, bench.other_core, bench.directory) for one in scene.servers}
        for _ in range(_BESIDE_ROUNDS)
    ]
    alone = [
        {
            "alone": http2.late_alone(scene.ours, bench.other_core, bench.directory),
            OURS: http2.late_beside_download(scene.ours, bench.other_core, bench.directory),
        }
        for _ in range(_BESIDE_ROUNDS)
    ]
    return [
        Row("h2-beside", title, "µs", rounds, 1.0),
        Row("h2-beside", "p99 of a small GET, alone -> beside it", "µs", alone, 2.0),
    ]


def h2_upstream(scene: Scene) -> list[Row]:
    """Small answers of a backend that speaks HTTP/2, in clear; nginx cannot ask one."""
    both = replace(scene, servers=[server for server in scene.servers if server.name != "nginx"])
    old = exchanges.request("h2-upstream", f"GET /h2{MESSAGE}")
    return [
        exchange_row(both, old, "GET over http/1.1 to an h2 backend", 1.3),
        Row("h2-upstream-h2", "GET over h2 to an h2 backend", "µs CPU", _http2_rounds(both, H2_UPSTREAM), 1.3),
    ]


def _http2_rounds(scene: Scene, asked: http2.Load) -> list[Mapping[str, float]]:
    def operate(server: Server) -> int:
        return asked.run(server, scene.bench.other_core)

    for server in scene.servers:
        operate(server)
    return scene.rounds(operate)


_H3_REQUESTS = 600  # the handshake of their connection is 3 % of each
_H3_HANDSHAKES = 20


@contextmanager
def _http3(scene: Scene) -> Iterator[Scene]:
    """nginx and Plexigate with HTTP/3."""
    with scene.bench.http3(scene.backend) as servers:
        yield replace(scene, servers=servers)


def h3_get(scene: Scene) -> list[Row]:
    """GET over one connection of HTTP/3, beside nginx: ten streams at a time, and one."""
    bench = scene.bench
    count = scene.meter.most or _H3_REQUESTS

    def asked(streams: int) -> Callable[[Server], int]:
        return lambda server: http3.requests(server, count, bench.other_core, bench.authority, streams=streams)

    with _http3(scene) as both:
        many, one = both.rounds(asked(http3.STREAMS)), both.rounds(asked(1))
    return [
        Row("h3-get", f"h3: GET: the path new ({http3.STREAMS} streams)", scene.meter.unit, many, 1.0),
        Row("h3-get", "h3: GET: the path new, one at a time", scene.meter.unit, one, 1.3),
    ]


def h3_handshake(scene: Scene) -> list[Row]:
    """A client of HTTP/3 that comes for the first time."""
    bench = scene.bench

    def operate(server: Server) -> int:
        return http3.handshakes(server, _H3_HANDSHAKES, bench.other_core, bench.authority)

    with _http3(scene) as both:
        operate(both.ours)
        rounds = both.rounds(operate)
    return [Row("h3-handshake", f"h3: {_HANDSHAKE}", scene.meter.unit, rounds, 1.1)]


def down_h3(scene: Scene) -> list[Row]:
    """A large answer over HTTP/3."""
    with _http3(scene) as both:
        return [_by_curl(both, "down-h3", "h3: 100 MB down", ["--http3-only"], 1.2)]


def picture(scene: Scene) -> list[Row]:
    """An answer of several records."""
    return [exchange_row(scene, exchanges.GET_PICTURE, "64 KiB response", 1.0, connections=16)]


def down(scene: Scene) -> list[Row]:
    """A large answer, over both protocols."""
    return [
        _by_curl(scene, "down", "100 MB down", ["--http1.1"], 1.0),
        _by_curl(scene, "down-h2", "h2: 100 MB down", ["--http2"], 1.1),
    ]


def up(scene: Scene) -> list[Row]:
    """A large body, over both protocols."""
    with ExitStack() as stack:
        open_ones = {
            server.name: stack.enter_context(bulk.bulk(server, scene.bench.authority)) for server in scene.servers
        }
        for one in open_ones.values():
            one.up()
        rounds = scene.rounds(lambda server: open_ones[server.name].up())
    file = scene.bench.directory / "files" / LARGE[1:]
    return [
        Row("up", "100 MB up", "µs/MB", rounds, 1.0),
        _by_curl(scene, "up-h2", "h2: 100 MB up", ["--http2", "-T", str(file)], 1.1),
    ]


def _by_curl(scene: Scene, key: str, title: str, arguments: Sequence[str], wanted: float) -> Row:
    rounds = scene.rounds(lambda server: bulk.curl(server, scene.bench.authority, *arguments))
    return Row(key, title, "µs/MB", rounds, wanted)


def websocket(scene: Scene) -> list[Row]:
    """Messages of a chat."""
    title = f"WebSocket, {exchanges.MESSAGE_BYTES} bytes each way, {SOCKETS} sockets"
    return [replace(exchange_row(scene, exchanges.ECHOED, title, 1.0, connections=SOCKETS), key="websocket")]


def _handshakes(scene: Scene) -> int:
    """Fewer are counted than requests: each is as much work as 50."""
    return scene.meter.most // 16 or HANDSHAKES


def handshake(scene: Scene) -> list[Row]:
    """A client that comes for the first time."""

    def operate(server: Server) -> int:
        return load.handshakes(server, _handshakes(scene), scene.bench.authority, request=load.VISIT)

    return [Row("handshake", _HANDSHAKE, scene.meter.unit, scene.rounds(operate), 1.08)]


def resumed(scene: Scene) -> list[Row]:
    """A client that comes back."""
    clients = {server.name: load.Resumptions.of(server, scene.bench.authority, load.VISIT) for server in scene.servers}
    rounds = scene.rounds(lambda server: clients[server.name].visit(_handshakes(scene)))
    return [Row("resumed", "resumed handshake, request, close", scene.meter.unit, rounds, 1.08)]


def day(scene: Scene) -> list[Row]:
    """An hour of Element, socket.io and Mattermost in ten seconds, over both protocols."""
    return [*replay.rows(scene, exchanges.Kind.HTTP), *replay.rows(scene, exchanges.Kind.H2)]


def idle(scene: Scene) -> list[Row]:
    """Memory of a connection at rest."""
    rounds = [memory.kilobytes(scene.bench, scene.backend, memory.connections(scene.bench)) for _ in range(2)]
    return [Row("idle", "RSS per idle connection", "KB", rounds, 0.95)]


def idle_h2(scene: Scene) -> list[Row]:
    """Memory of a connection of HTTP/2 at rest."""
    rounds = [memory.kilobytes(scene.bench, scene.backend, memory.http2_connections(scene.bench)) for _ in range(2)]
    return [Row("idle-h2", "RSS per idle h2 connection", "KB", rounds, 1.5)]


def idle_h3(scene: Scene) -> list[Row]:
    """Memory of a connection of HTTP/3 at rest."""
    rounds = [memory.http3_kilobytes(scene.bench, scene.backend) for _ in range(2)]
    return [Row("idle-h3", "RSS per idle h3 connection", "KB", rounds, 0.8)]


def idle_websocket(scene: Scene) -> list[Row]:
    """Memory of a WebSocket at rest."""
    rounds = [memory.kilobytes(scene.bench, scene.backend, memory.websockets(scene.bench)) for _ in range(2)]
    return [Row("idle-websocket", "RSS per idle WebSocket", "KB", rounds, 1.0)]


def p99(scene: Scene) -> list[Row]:
    """How long the slowest of a hundred requests take at half of saturation."""
    rate, rounds = late_rounds(scene, differing.BOTH)
    note = f"{rate:,.0f} requests/s for each, half of what the slowest can"
    return [Row("p99", "GET: 2 fields and the answer new, p99 at half of saturation", "µs", rounds, 1.2, note=note)]


def connections(scene: Scene) -> list[Row]:
    """Whether a request costs more with many connections."""
    title = f"GET, with {growth.FEW:,} -> {growth.MANY:,} connections"
    return [Row("connections", title, "µs CPU", growth.connections(scene), growth.MANY_CONNECTIONS)]


def names(scene: Scene) -> list[Row]:
    """Whether a handshake costs more with many names."""
    title = f"full handshake, with 1 -> {growth.NAMES:,} names"
    return [Row("names", title, "µs CPU", growth.names(scene), growth.FLAT)]


def routes(scene: Scene) -> list[Row]:
    """Whether a request costs more with many routes."""
    title = f"GET, with 1 -> {growth.ROUTES:,} routes"
    return [Row("routes", title, "µs CPU", growth.routes(scene), growth.FLAT)]


def loaded(scene: Scene) -> list[Row]:
    """Whether a route that does much costs much more."""
    title = "GET, by a plain route -> by one with all that it can do"
    return [Row("loaded", title, "µs CPU", growth.loaded(scene), growth.MOST_LOADED)]


def token(_: Scene) -> list[Row]:
    """A key in a token that takes 5 ms for a signature, two workers, all cores."""
    return _on_all_cores(signing.rate)


def storm(_: Scene) -> list[Row]:
    """The wait of a WebSocket while a token takes 200 ms for a signature."""
    return _on_all_cores(signing.wait)


def _on_all_cores(measure: Callable[[], list[Row]]) -> list[Row]:
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        return measure()
    finally:
        os.sched_setaffinity(0, mine)


def payloads(_: Scene) -> list[Row]:
    """Payload encryption, beside MultiFernet."""
    both = payload.rings()

    def rounds(measure: Callable[..., tuple[float, float]]) -> list[dict[str, float]]:
        return [dict(zip(("MultiFernet", "plexigate"), measure(*both), strict=True)) for _ in range(5)]

    return [
        Row("payload", "payload: 1 KiB opened, sealed", "µs CPU", rounds(payload.message_microseconds), 1.3),
        Row("payload", "payload: 1 MiB of a stream", "ms CPU", rounds(payload.stream_milliseconds), 1.3),
    ]


ROWS: Mapping[str, Measure] = {
    **DIFFERING,
    "day": day,
    "picture": picture,
    "h2-upstream": h2_upstream,
    "h2-picture": h2_picture,
    "h2-beside": h2_beside,
    "h3-get": h3_get,
    "h3-handshake": h3_handshake,
    "down": down,
    "down-h3": down_h3,
    "up": up,
    "websocket": websocket,
    "handshake": handshake,
    "resumed": resumed,
    "idle": idle,
    "idle-h2": idle_h2,
    "idle-h3": idle_h3,
    "idle-websocket": idle_websocket,
    "p99": p99,
    "connections": connections,
    "names": names,
    "routes": routes,
    "loaded": loaded,
    "token": token,
    "storm": storm,
    "payload": payloads,
}

COUNTED = (*DIFFERING, "websocket", "handshake", "resumed", "h3-get", "h3-handshake")
"""The rows whose instructions are counted."""
