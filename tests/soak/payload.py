"""A gibibyte of tokens through the proxy, and what became of its memory and its loop.

At the end: the backend has every octet, memory has not grown, and 99 of 100 turns of the loop were less than 5 ms late.
"""

import hashlib
import http.client
import json
import os
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console

from proxy.admin.client import UnixAdminClient
from proxy.payload.client import PayloadClient
from tests.certificates import Authority
from tests.integration.admin import Series, found
from tests.integration.stage import Site, Upstream, serving, write_configuration
from tests.integration.test_payload import backend
from tests.integration.upstreams import in_thread

MIB = 1 << 20
SIZE = 1_024 * MIB
GROWTH_BYTES = 8 * MIB
LAG_SECONDS = 0.005
SHARE = 0.99
PIECE = bytes(range(256)) * 256
ROUTE = f'payload = "require"\npayload_ring = "chat"\nbody_bytes = {2 * SIZE}'


def run(minutes: float, console: Console) -> list[str]:
    """Upload and look, for as long as it takes; answers what is wrong."""
    del minutes
    with tempfile.TemporaryDirectory(prefix="plexigate-soak-") as place, in_thread(backend) as port:
        directory = Path(place)
        authority = Authority(directory)
        upstreams = {"chat": Upstream((f"http://127.0.0.1:{port}",), route=ROUTE)}
        configuration = write_configuration(
            directory, authority.issue("localhost"), upstreams, '[payload]\ndirectory = "rings"\n[payload.ring.chat]\n'
        )
        with serving(configuration, authority) as proxy:
            _keep_apart(proxy)
            return _judged(proxy, UnixAdminClient(configuration.with_suffix(".sock")), console)


def _keep_apart(proxy: Site) -> None:
    """A core for the workers and the others for client and backend: the lag of the loop is not to be that of the scheduler."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
        for pid in proxy.worker_pids:
            os.sched_setaffinity(pid, cores[:1])


def _judged(proxy: Site, admin: UnixAdminClient, console: Console) -> list[str]:
    client = PayloadClient.of_ring(admin.get("/payload/chat/export")[1], time.time)  # noqa: TID251 - a driver
    _upload(proxy, client, MIB)  # what is set up once does not count
    proxy.forget_peak()
    memory, before, began = proxy.resident_bytes, proxy.admin.metrics(), time.monotonic()
    got = _upload(proxy, client, SIZE)
    seconds, growth = time.monotonic() - began, proxy.peak_bytes - memory
    late = _share_within(before, proxy.admin.metrics(), LAG_SECONDS)
    expected = hashlib.sha256(PIECE * (SIZE // len(PIECE))).hexdigest()
    verdicts = {
        f"{got['count']:,} octets, as they were sent": got == {"count": SIZE, "sha256": expected},
        f"memory grew by {growth / MIB:.1f} MiB": growth < GROWTH_BYTES,
        f"{late:.2%} of the loop's turns less than {LAG_SECONDS * 1e3:g} ms late": late >= SHARE,
    }
    for sentence, is_well in verdicts.items():
        console.print(f"{'ok    ' if is_well else 'FAILED'}  {sentence}", highlight=False)
    console.print(f"        {SIZE / MIB / seconds:.0f} MiB/s, client and backend included", highlight=False)
    return [sentence for sentence, is_well in verdicts.items() if not is_well]


def _upload(proxy: Site, client: PayloadClient, size: int) -> Mapping[str, object]:
    url = proxy.url("/chat/upload")
    sealed = client.request("POST", url, _pieces(size))
    connection = http.client.HTTPSConnection(
        "localhost", proxy.port(), context=ssl.create_default_context(cafile=proxy.ca), timeout=600
    )
    connection.request("POST", "/chat/upload", sealed.body, sealed.headers, encode_chunked=True)
    response = connection.getresponse()
    answer = json.loads(sealed.open(response.status, dict(response.getheaders()), response.read()))
    connection.close()
    return {"count": answer["count"], "sha256": answer["sha256"]}


def _pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // len(PIECE)):
        yield PIECE


def _share_within(before: Series, after: Series, seconds: float) -> float:
    """Which share of what was measured between two looks was not above a bound of the histogram."""
    name = "plexigate_loop_lag_seconds"
    within, total = (
        found(after, f"{name}_{kind}", **labels) - found(before, f"{name}_{kind}", **labels)
        for kind, labels in (("bucket", {"le": f"{seconds:g}"}), ("count", {}))
    )
    return within / total
