"""How long connections wait while a worker prepares a thousand identities and then serves by them."""

import asyncio
import itertools
import statistics
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import pytest
import uvloop

from certs.files.directory import open_log
from config.schema import LogFormat
from proxy.limits.shared import SharedTable
from proxy.net.in_thread import in_thread
from proxy.observe.logs.log import Log
from proxy.observe.logs.log_writer import LogWriter
from proxy.payload.keys.payload_keys import PayloadKeys
from proxy.processes.material import Material
from proxy.processes.messages.questions import (
    Accept,
    Commit,
    Drain,
    KnownBeside,
    Prepare,
    ShowAlternatives,
    ShowChallenges,
    ShowMaintenance,
    ShowShares,
)
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.worker.control import WorkerControl
from tests.certificates import Authority, CertificateFiles
from tests.configurations import identity, listener
from tests.fakes_signing import SilentParent

pytestmark = pytest.mark.alone

IDENTITIES = 1_000
CHANGED = 100
ADDED_SECONDS = 0.005
TICK_SECONDS = 0.001
REPEATS = 3
"""A busy machine makes any single one late: the median is told."""
UPSTREAM = '[upstream.chat]\nservers = ["http://127.0.0.1:1"]\n'


class Ticker:
    """Notes how late it comes, a thousand times a second."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.late: list[float] = []
        self._due = perf_counter()
        self._tick()

    def _tick(self) -> None:
        now = perf_counter()
        self.late.append(max(0.0, now - self._due))
        self._due = now + TICK_SECONDS
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)

    def stop(self) -> float:
        """The 99th percentile."""
        self._timer.cancel()
        return sorted(self.late)[int(len(self.late) * 0.99)]


def compute() -> int:
    """What any thread costs the loop on this machine now: something of a reload's length that only computes."""
    ends, count = perf_counter() + 0.15, 0
    while perf_counter() < ends:
        count += 1
    return count


class Site:
    """A configuration with many identities, each with a route and a certificate of its own."""

    def __init__(self, directory: Path) -> None:
        self._authority = Authority(directory)
        self.path = directory / "many.toml"
        self._files = self.renew(IDENTITIES)
        tables = [identity(f"i{number}", (f"n{number}.test",), files) for number, files in enumerate(self._files)]
        routes = [f'[[route]]\nhost = "n{number}.test"\nupstream = "chat"\n' for number in range(IDENTITIES)]
        text = "".join([listener("public"), UPSTREAM, *tables, *routes])
        self.path.write_text(text)
        self._document = tomllib.loads(text)

    def renew(self, count: int) -> list[CertificateFiles]:
        """Give the first `count` identities new certificates, in the same files."""
        return [self._authority.issue(f"n{number}", (f"n{number}.test",)) for number in range(count)]

    def question(self, number: int, tickets: TicketSecrets) -> Prepare:
        """What the parent would ask."""
        return Prepare(
            number=number,
            path=str(self.path),
            document=self._document,
            read_at=datetime.now(UTC),  # noqa: TID251 - certificates are judged by it
            tickets=tickets,
            unusable_tokens={},
            silent_slots=(),
            has_served=False,
            payload=PayloadKeys(),
        )

    def material(self) -> int:
        """The memory file that it would send."""
        return Material.read(path for one in self._files for path in (one.certificate, one.key)).memory_file()


@pytest.mark.timeout(60)
def test_a_thousand_identities(tmp_path: Path) -> None:
    site, tickets = Site(tmp_path), TicketSecrets.fresh()
    found: dict[str, list[float]] = {}
    numbers = itertools.count(1)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        log = Log(LogWriter(open_log(tmp_path / "log"), 1_000), LogFormat.JSON, has_colours=False)
        control = WorkerControl(loop, log, SharedTable.private(), None, lambda: None, SilentParent())

        async def measure(name: str, change: Callable[[], object]) -> None:
            change()
            number = next(numbers)
            question, descriptor = site.question(number, tickets), site.material()
            ticker = Ticker(loop)
            await control.answer(question, [descriptor])
            known = KnownBeside(
                (), ShowChallenges((), {}), (), ShowMaintenance(()), ShowShares({}), ShowAlternatives({})
            )
            await control.answer(Commit(number, known, Accept({}, ())), [])
            await asyncio.sleep(TICK_SECONDS * 20)
            found.setdefault(name, []).append(ticker.stop())

        await measure("all are new", lambda: None)
        for _ in range(REPEATS):
            ticker = Ticker(loop)
            await in_thread(loop, compute)
            found.setdefault("any thread", []).append(ticker.stop())
            await measure("none has changed", lambda: None)
            await measure("some have changed", lambda: site.renew(CHANGED))
        await control.answer(Drain(0.0, gently=False), [])
        log.close(10)

    uvloop.run(serve())
    measured = {name: statistics.median(several) for name, several in found.items()}
    shown = ", ".join(f"{name}: {seconds * 1_000:.1f} ms" for name, seconds in measured.items())
    allowed = ADDED_SECONDS + measured.pop("any thread")
    assert all(seconds < allowed for seconds in measured.values()), shown
    print(shown)  # noqa: T201 - for `./dev soak`
