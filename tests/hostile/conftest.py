"""One recorder for all hostile tests, and a running proxy for each set of limits."""

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.client import Cut
from tests.hostile.recorder import Recorder
from tests.hostile.scene import DOORS, TRUSTING, Proxy, Scene, proxy, write_certificates

HURRIED: dict[str, float | str] = {
    "handshake_timeout": "300ms",
    "head_timeout": "300ms",
    "keep_alive_timeout": "300ms",
    "body_idle_timeout": "300ms",
    "write_idle_timeout": "300ms",
    "websocket_idle_timeout": "300ms",
    "websocket_close_timeout": "300ms",
    "linger_timeout": "200ms",
}
"""Every time as short as it can be tested: the deadlines are looked at four times a second."""

HURRIED_UPSTREAM: dict[str, float | str] = {"first_byte_timeout": "1s", "stall_timeout": "1s", "idle_timeout": "300ms"}
"""Longer than a client may take for its body, so that it is clear who was late."""

TERSE = {"log_queue_lines": 100, "response_buffer_total_bytes": 4_194_304}
"""What is measured of its memory is not a lines that wait for the disk, and little that waits for slow readers."""

NARROW: dict[str, float | str] = {
    "write_idle_timeout": "300ms",
    "connections_per_address": 8,
    "handshakes_in_flight": 6,
    "handshakes_per_address": 4,
    "websocket_message_bytes": 1_000,
    "websocket_fragments": 8,
    "early_responses": 2,
    "pipelined_bytes": 4_096,
    "response_head_bytes": 2_048,
    "response_header_count": 16,
}


ONE_IN = 4
"""How many cases of a table come whole for one that comes byte by byte as well: the parsers of all of them are fed by octets in
their own tests, so here it is about the way of the bytes to the parser, which is the same for a table.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out most of what comes byte by byte, unless `--every-cut` asks for all of it."""
    if config.getoption("--every-cut"):
        return
    seen = Counter[str]()
    kept, left_out = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        chosen = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        table = item.nodeid.partition("[")[0]
        in_bytes = chosen.get("cut") is Cut.BYTES and "case" in chosen
        (left_out if in_bytes and seen[table] % ONE_IN else kept).append(item)
        seen[table] += in_bytes
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates that clients trust; beside them are those of the identities, with their keys."""
    return write_certificates(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def recorder() -> Iterator[Recorder]:
    """The upstream of all proxies."""
    recorder = Recorder(DOORS, [TRUSTING])
    yield recorder
    recorder.stop()


@pytest.fixture(scope="session")
def impostor() -> Iterator[socket.socket]:
    """Where the proxies look for an upstream over TLS; a test does with it what it likes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


@pytest.fixture(scope="session")
def ports(recorder: Recorder, impostor: socket.socket) -> dict[str, int]:
    """The ports of all upstreams."""
    return {**recorder.ports, "impostor": impostor.getsockname()[1]}


@pytest.fixture(scope="session")
def default_proxy(trusted: Path, ports: dict[str, int]) -> Iterator[Proxy]:
    """A proxy with the limits that it has of its own."""
    with proxy(trusted, ports, {}, {}) as running:
        yield running


@pytest.fixture(scope="session")
def hurried_proxy(trusted: Path, ports: dict[str, int]) -> Iterator[Proxy]:
    """A proxy that waits for nobody."""
    with proxy(trusted, ports, HURRIED, HURRIED_UPSTREAM) as running:
        yield running


@pytest.fixture(scope="session")
def brisk_proxy(trusted: Path, ports: dict[str, int]) -> Iterator[Proxy]:
    """A proxy that waits longer for requests than for settings, so that it is clear what was late."""
    times: dict[str, float | str] = {
        "http2_settings_timeout": "500ms",
        "keep_alive_timeout": "1500ms",
        "head_timeout": "1s",
    }
    with proxy(trusted, ports, times, {}) as running:
        yield running


@pytest.fixture(scope="session")
def narrow_proxy(trusted: Path, ports: dict[str, int]) -> Iterator[Proxy]:
    """A proxy with small limits on numbers and sizes."""
    with proxy(trusted, ports, NARROW, {"connections": 2, "waiting": 2, "wait_timeout": "300ms"}) as running:
        yield running


@pytest.fixture(scope="session")
def terse_proxy(trusted: Path, ports: dict[str, int]) -> Iterator[Proxy]:
    """A proxy that holds little of its log and of responses."""
    with proxy(trusted, ports, TERSE, {}) as running:
        yield running


@pytest.fixture
def scene(default_proxy: Proxy, recorder: Recorder) -> Iterator[Scene]:
    """The usual proxy."""
    yield from _scene(default_proxy, recorder)


@pytest.fixture
def hurried(hurried_proxy: Proxy, recorder: Recorder) -> Iterator[Scene]:
    """The proxy that waits for nobody."""
    yield from _scene(hurried_proxy, recorder)


@pytest.fixture
def brisk(brisk_proxy: Proxy, recorder: Recorder) -> Iterator[Scene]:
    """The proxy whose clients of HTTP/2 have little time for their settings."""
    yield from _scene(brisk_proxy, recorder)


@pytest.fixture
def narrow(narrow_proxy: Proxy, recorder: Recorder) -> Iterator[Scene]:
    """The proxy with small limits."""
    yield from _scene(narrow_proxy, recorder)


@pytest.fixture
def terse(terse_proxy: Proxy, recorder: Recorder) -> Iterator[Scene]:
    """The proxy that holds little of its log and of responses."""
    yield from _scene(terse_proxy, recorder)


def _scene(running: Proxy, recorder: Recorder) -> Iterator[Scene]:
    scene = Scene(running, recorder)
    yield scene
    scene.check()
