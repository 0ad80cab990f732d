"""Real worker processes under a test, with a parent that is the test itself."""

import asyncio
import json
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

from certs.tokens.token_use import TokenUse
from config.schema import LogFormat
from proxy.net.tasks import Tasks
from proxy.observe.events.event import Event
from proxy.processes.messages.answers import WorkerFigures
from proxy.processes.messages.questions import (
    Begin,
    KnownBeside,
    LogSettings,
    ShowAlternatives,
    ShowChallenges,
    ShowMaintenance,
    ShowShares,
    ToldToken,
)
from proxy.processes.messages.version import VERSION
from proxy.signing.breaker import BreakerState
from proxy.signing.login_turns import LoginTurns
from proxy.supervisor.editions.edition import Edition, read_edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.changeover import Changeover, ChangingParts
from proxy.supervisor.verdicts import Verdicts
from proxy.supervisor.workers.columns import Columns
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.sockets import BoundAddress, ListeningSockets
from proxy.supervisor.workers.timeouts import WorkerTimeouts
from proxy.supervisor.workers.workforce import Workforce
from proxy.tls.openssl.tickets import TicketSecrets
from tests.configurations import Site
from tests.hsm.site import HsmSite
from tests.waiting import until_seen

SECRETS = TicketSecrets(bytes(32))
NOW = datetime.now(UTC)  # noqa: TID251 - certificates that OpenSSL judges too are valid by the real clock
REQUEST = b"GET /missing HTTP/1.1\r\nHost: other.test\r\n\r\n"


def short_name(directory: Path) -> str:
    """A file name for a configuration of its own: a socket beside it must not have more than 107 bytes of path."""
    return f"{crc32(directory.name.encode()):08x}.toml"


def edition_of(site: Site, text: str, number: int = 1, name: str = "plexigate.toml") -> Edition:
    """Read what the parent reads."""
    return read_edition(site.write(text, name), number, SECRETS, NOW)


class NoTokens:
    """What a parent knows about tokens that nobody uses."""

    refused: Sequence[str] = ()
    silent_slots: Collection[int] = ()

    def __init__(self) -> None:
        self.breakers: list[tuple[int, str, BreakerState]] = []

    def closed(self, uses: Sequence[TokenUse]) -> dict[str, ToldToken]:
        """There is none."""
        assert not uses
        return {}

    def keys_missing(self, worker: WorkerProcess, token: str, keys: frozenset[str]) -> None:
        """There are no tokens."""
        raise AssertionError(token, keys, worker)


@dataclass
class FleetParent:
    """What a workforce needs of the parent around it; remembers what it was told."""

    sockets: ListeningSockets
    log: int
    events: list[dict[str, Any]] = field(default_factory=list)
    left: list[tuple[int, WorkerFigures | None]] = field(default_factory=list)
    verdicts: Verdicts = field(default_factory=lambda: Verdicts(time.monotonic))
    tokens: NoTokens = field(default_factory=NoTokens)
    columns: Columns = field(default_factory=lambda: Columns(2))
    turns: LoginTurns = field(default_factory=LoginTurns.create)
    challenges: Callable[[], ShowChallenges] = lambda: ShowChallenges((), {})
    version: str = VERSION
    when_told: Callable[[dict[str, Any]], None] = lambda _: None

    @property
    def bound(self) -> Iterable[BoundAddress]:
        """The sockets there are."""
        return self.sockets.bound

    def known(self) -> KnownBeside:
        """What the parent of a proxy tells."""
        return KnownBeside(
            self.verdicts.all,
            self.challenges(),
            tuple(self.tokens.refused),
            ShowMaintenance(()),
            ShowShares({}),
            ShowAlternatives({}),
        )

    def beginning(self, worker: WorkerProcess) -> tuple[Begin, Sequence[int]]:
        """Let it log to the test's file."""
        log = LogSettings(LogFormat.JSON, has_colours=False, queue_lines=1_000)
        begin = Begin(self.version, self.columns.take(worker), log)
        return begin, [self.log, self.columns.descriptor, self.turns.fd]

    def tell(self, event: Event) -> None:
        """Note the event."""
        self.events.append(event.as_json())
        self.when_told(event.as_json())

    def breaker_changed(self, worker: WorkerProcess, token: str, state: BreakerState) -> None:
        """There are no tokens."""
        raise AssertionError(token, state, worker)

    def worker_gone(self, worker: WorkerProcess) -> None:
        """Note it."""
        self.columns.give_back(worker)
        self.left.append((worker.slot, worker.last))

    @property
    def told(self) -> list[str]:
        """The names of the events."""
        return [event["event"] for event in self.events]


@dataclass
class Connection:
    """A client's connection, and which process serves it (by the beginning of the ids that it gives to requests)."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    served_by: str = ""

    async def ask(self) -> str:
        """Send a request that the proxy answers by itself; answers who did."""
        self.writer.write(REQUEST)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
        self.served_by = json.loads(await self.reader.readexactly(length))["instance"].partition("-")[0]
        return self.served_by

    def close(self) -> None:
        """Close it without waiting."""
        self.writer.transport.abort()


class Unmoved:
    """The parts of a parent that follow an edition, and that a workforce alone does not have."""

    number = 1

    def follow(self, *_: object) -> None:
        """There is nothing."""

    def leave_module(self, _: Sequence[TokenUse]) -> bool:
        """No token hangs."""
        return False


@dataclass
class RunningWorkforce:
    """A workforce that serves."""

    parent: FleetParent
    workforce: Workforce
    changeover: Changeover
    served: ServedEdition
    unmoved: "Unmoved"
    client: ssl.SSLContext
    errors: list[BaseException]

    @property
    def port(self) -> int:
        """Where the first address listens."""
        port: int = next(iter(self.parent.bound)).by_slot[0].getsockname()[1]
        return port

    async def connect(self) -> Connection:
        """An established connection, which was served once."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.client, server_hostname="chat.test"
        )
        connection = Connection(reader, writer)
        await connection.ask()
        return connection

    async def crowd(self, count: int) -> list[Connection]:
        """Several at once."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.connect()) for _ in range(count)]
        return [one.result() for one in tasks]

    async def served_by(self, count: int = 24) -> set[str]:
        """The processes that serve new connections: the kernel spreads so many over all sockets, but for a chance of 2**-23."""
        crowd = await self.crowd(count)
        for one in crowd:
            one.close()
        return {one.served_by for one in crowd}

    async def use(self, edition: Edition) -> None:
        """Serve by an edition, as a start and a reload do."""
        async with self.workforce.editing:
            await self.changeover.commit(await self.changeover.prepare(edition))

    async def settled(self, count: int = 2) -> None:
        """Wait until there are so many workers and each accepts on its own slot."""
        await until_seen(
            lambda: (
                len(self.workforce.workers) == count
                and not self.workforce._assigning.locked()
                and all(self.workforce._acceptance.slots(one) == {one.slot} for one in self.workforce.workers)
            )
        )

    @property
    def pids(self) -> list[int]:
        """The processes of the slots."""
        return [worker.pid for worker in self.workforce.workers]


@asynccontextmanager
async def workforce(
    site: Site | HsmSite, tmp_path: Path, text: str, patience: WorkerTimeouts | None = None
) -> AsyncIterator[RunningWorkforce]:
    """Run a workforce by a configuration; no process of it is left, whatever the test did."""
    loop = asyncio.get_running_loop()
    errors: list[BaseException] = []
    tasks = Tasks(loop, errors.append)
    parent = FleetParent(ListeningSockets(), os.open(tmp_path / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    workers = Workforce(loop, tasks, parent, patience or WorkerTimeouts())
    unmoved: Any = Unmoved()
    served = ServedEdition(unmoved)
    rest = (unmoved,) * 5
    parts = ChangingParts(workers, parent.sockets, *rest, warn=lambda _: None, settle=unmoved, followed=unmoved)
    changeover = Changeover(loop, served, parts, unmoved)
    running = RunningWorkforce(parent, workers, changeover, served, unmoved, site.authority.client_context(), errors)
    try:
        if text:
            assert isinstance(site, Site)
            await running.use(edition_of(site, text))
        yield running
    finally:
        await workers.close()
        await tasks.cancel_all()
        parent.sockets.close()
        parent.columns.close()
        parent.turns.close()
        os.close(parent.log)
    assert errors == []


def refuses(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False
