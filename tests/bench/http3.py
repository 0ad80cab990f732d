"""Load over HTTP/3: requests of curl, and connections that rest after one request."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.http2 import FIELDS
from tests.bench.load import LoadError
from tests.bench.servers import MESSAGE, SIZES, Server, pinned
from tests.hostile import http3_frames as h3
from tests.hostile.client import Address
from tests.hostile.http3_client import Http3Client
from tests.hostile.quic_client import QuicClient

STREAMS = 10
_SECONDS = 10
_TIMED_OUT = 28
_TRIES = 3


def requests(server: Server, count: int, core: int, authority: Path, *, streams: int = 1) -> int:
    """Requests on one new connection, so many at a time, from this core; returns their number. Each query is new."""
    together = ["--parallel", "--parallel-max", str(streams)] if streams > 1 else []
    _curl(server, core, authority, f"{MESSAGE}?[1-{count}]", count, together)
    return count


def handshakes(server: Server, count: int, core: int, authority: Path) -> int:
    """Full handshakes with a request each, one at a time; returns their number."""
    for _ in range(count):
        _curl(server, core, authority, MESSAGE, 1)
    return count


def _curl(server: Server, core: int, authority: Path, path: str, count: int, further: Sequence[str] = ()) -> None:
    command = pinned(core, "curl", "--silent", "--show-error", "--http3-only", "--cacert", str(authority), *further)
    command += ["--max-time", str(_SECONDS)]
    for field in FIELDS:
        command += ["--header", field]
    command += ["--output", "/dev/null", "--write-out", "%{http_version} %{http_code} %{num_connects}\n"]
    command += [f"https://localhost:{server.port}{path}"]
    done = _done(command)
    if done.returncode:
        raise LoadError(server, f"curl says {done.stderr}")
    if sorted(done.stdout.splitlines()) != ["3 200 0"] * (count - 1) + ["3 200 1"]:
        raise LoadError(server, f"did not answer all on one connection: {sorted(set(done.stdout.splitlines()))}")


def _done(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """curl 8.14 with the QUIC of OpenSSL stands still once in a few hundred connections: then it begins again."""
    for _ in range(_TRIES - 1):
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * _SECONDS, check=False)
        if done.returncode != _TIMED_OUT:
            return done
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * _SECONDS, check=False)


@contextmanager
def idle_connections(server: Server, count: int, path: str, authority: Path) -> Iterator[None]:
    """Connections that got one answer each and stay open until the block ends."""
    names = {":method": "GET", ":scheme": "https", ":authority": "localhost", ":path": path}
    pairs = [*names.items(), *((name, value) for name, _, value in (field.partition(": ") for field in FIELDS))]
    asked = h3.headers([(name.encode(), value.encode()) for name, value in pairs])
    with ExitStack() as stack:
        for _ in range(count):
            quic = QuicClient(Address(server.port, authority), "localhost")
            client = stack.enter_context(Http3Client(quic))
            answer = client.open().ask(asked)
            status = answer.heads[0][":status"] if answer.heads else None
            if (status, len(answer.body)) != ("200", SIZES[path]):
                raise LoadError(server, f"answered {status} with {len(answer.body)} octets")
            quic.sync()  # nothing is left that either side would send again
        yield
