"""Active checks, against real servers, by a clock that the test has."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from config.schema import ServerAddress
from proxy.upstream.health.checks import CheckNotMade, HealthCheck, HealthChecker, Streak, ask
from tests.certificates import Authority
from tests.descriptors import no_descriptors

CHECK = HealthCheck(
    upstream="chat",
    address=ServerAddress("http", "127.0.0.1", 1),
    host="chat.internal:8000",
    path="/health?deep=1&x=%2F",
    interval_seconds=10.0,
    jitter=0.5,
    timeout_seconds=5.0,
    rise=2,
    fall=3,
    statuses=(200, 299),
    tls=None,
    server_name="",
)


class Backend:
    """A server whose health the test decides."""

    def __init__(self) -> None:
        self.status = 200
        self.is_stuck = False
        self.asked: list[tuple[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Note what was asked, answer as told."""
        self.asked.append((request.host, request.raw_path))
        if self.is_stuck:
            await asyncio.Event().wait()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def backend(
    tls: ssl.SSLContext | None = None, path: Path | None = None
) -> AsyncIterator[tuple[Backend, ServerAddress]]:
    """Run one at a free port, or at a Unix socket."""
    made, application = Backend(), web.Application()
    application.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        if path is not None:
            await web.UnixSite(runner, str(path)).start()
            yield made, ServerAddress("unix", path=str(path))
        else:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            port = runner.addresses[0][1]
            yield made, ServerAddress("http" if tls is None else "https", "127.0.0.1", port)
    finally:
        await runner.cleanup()


class Turns:
    """Sleeps end when the test says so: `step` lets each check be made once more."""

    def __init__(self, checks: int = 1) -> None:
        self.slept: list[float] = []
        self._checks = checks
        self._asleep = asyncio.Semaphore(0)
        self._awake = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        """Wait for the test."""
        self.slept.append(seconds)
        self._asleep.release()
        await self._awake.acquire()

    async def checked(self) -> None:
        """Wait until each check was made."""
        for _ in range(self._checks):
            await self._asleep.acquire()

    async def step(self) -> None:
        """Have each made once more."""
        for _ in range(self._checks):
            self._awake.release()
        await self.checked()


class Reports:
    """Hears what checks have found."""

    def __init__(self) -> None:
        self.verdicts: list[tuple[str, str, bool]] = []
        self.not_made_here: list[str] = []
        self.made_here = 0
        self.obstacle: str | None = None

    def why_not_ask(self) -> str | None:
        """What the test says."""
        return self.obstacle

    def found(self, upstream: str, server: str, *, is_up: bool) -> None:
        """Note it."""
        self.verdicts.append((upstream, server, is_up))

    def not_made(self, upstream: str, server: str, reason: str) -> None:
        """Note why."""
        assert (upstream, server) != ("", "")
        self.not_made_here.append(reason)

    def made(self, upstream: str, server: str) -> None:
        """Count it."""
        assert (upstream, server) != ("", "")
        self.made_here += 1


@asynccontextmanager
async def running(
    checks: Sequence[HealthCheck], turns: Turns, known: dict[tuple[str, str], bool] | None = None, chance: float = 0.5
) -> AsyncIterator[tuple[HealthChecker, Reports]]:
    """A checker that has checked once, and what it reported."""
    reports = Reports()
    checker = HealthChecker(checks, reports, known or {}, sleep=turns.sleep, chance=lambda: chance)
    task = asyncio.get_running_loop().create_task(checker.run())
    try:
        await turns.checked()
        yield checker, reports
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class TestStreak:
    """`rise` and `fall`."""

    def test_first_answer_decides(self) -> None:
        for is_good in (True, False):
            streak = Streak(9, 9)
            assert streak.answered(is_good=is_good)
            assert streak.is_up is is_good

    def test_fall_and_rise_in_a_row(self) -> None:
        streak = Streak(rise=2, fall=3, is_up=True)
        answers = [False, False, True, False, False, False, False, True, False, True, True, True]
        changes = [at for at, is_good in enumerate(answers) if streak.answered(is_good=is_good)]
        assert changes == [5, 10]


def answer_after(seconds: float) -> bool:
    """Ask a server that never answers; `seconds` have passed when this process looks again."""

    async def asked() -> bool:
        async with backend() as (server, address):
            server.is_stuck = True
            with pytest.MonkeyPatch.context() as patches:
                patches.setattr(asyncio.get_running_loop(), "time", lambda: 1_000.0 + seconds * len(server.asked))
                is_good = await ask(replace(CHECK, address=address))
            assert len(server.asked) == 1
            return is_good

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # uvloop's timers have another clock
        return runner.run(asked())


class TestAsking:
    """One question."""

    async def test_it_asks_for_the_path_as_it_is_written_and_for_the_host(self) -> None:
        async with backend() as (server, address):
            assert await ask(replace(CHECK, address=address))
            assert server.asked == [("chat.internal:8000", "/health?deep=1&x=%2F")]

    @pytest.mark.parametrize(
        ("status", "statuses", "is_good"),
        [
            (204, (200, 299), True),
            (302, (200, 299), False),
            (302, (200, 399), True),
            (503, (200, 299), False),
            (404, (404, 404), True),
        ],
    )
    async def test_status_decides_and_redirects_are_not_followed(
        self, status: int, statuses: tuple[int, int], *, is_good: bool
    ) -> None:
        async with backend() as (server, address):
            server.status = status
            assert await ask(replace(CHECK, address=address, statuses=statuses)) is is_good
            assert len(server.asked) == 1

    def test_server_that_does_not_answer_in_time_is_bad(self) -> None:
        assert not answer_after(CHECK.timeout_seconds)

    async def test_nobody_there_is_bad(self, tmp_path: Path) -> None:
        assert not await ask(CHECK)
        assert not await ask(replace(CHECK, address=ServerAddress("unix", path=str(tmp_path / "none.sock"))))
        assert not await ask(replace(CHECK, address=ServerAddress("http", "nothing.invalid", 80)))

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_without_descriptors_of_ours_nothing_is_said_of_the_server(self, host: str) -> None:
        async with backend() as (_, address):
            check = replace(CHECK, address=replace(address, host=host))
            await ask(check)  # which loads what is loaded once
            with no_descriptors(), pytest.raises(CheckNotMade):
                await ask(check)
            assert await ask(check)

    async def test_without_descriptors_a_unix_socket_is_not_blamed(self, tmp_path: Path) -> None:
        async with backend(path=tmp_path / "chat.sock") as (_, address):
            with no_descriptors(), pytest.raises(CheckNotMade, match="Too many open files"):
                await ask(replace(CHECK, address=address))

    def test_server_is_not_late_because_we_were_held_up(self) -> None:
        with pytest.raises(CheckNotMade, match=r"^this process was stalled for 0\.7 s$"):
            answer_after(CHECK.timeout_seconds + 0.7)

    async def test_what_is_not_http_is_bad(self) -> None:
        async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_10\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            assert not await ask(replace(CHECK, address=ServerAddress("http", "127.0.0.1", port)))

    async def test_unix_socket(self, tmp_path: Path) -> None:
        async with backend(path=tmp_path / "chat.sock") as (server, address):
            assert await ask(replace(CHECK, address=address))
            server.status = 500
            assert not await ask(replace(CHECK, address=address))


class TestTls:
    """An https server is verified, and may want to know us."""

    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    @pytest.mark.parametrize(
        ("server_name", "is_trusted", "is_good"),
        [("chat.internal", True, True), ("127.0.0.1", True, False), ("chat.internal", False, False)],
    )
    async def test_chain_and_name_are_verified(
        self, authority: Authority, tmp_path: Path, server_name: str, *, is_trusted: bool, is_good: bool
    ) -> None:
        files = authority.issue("chat", ("chat.internal",))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(files.certificate, files.key)
        (tmp_path / "other").mkdir()
        trusted = authority if is_trusted else Authority(tmp_path / "other")
        context = ssl.create_default_context(cafile=str(trusted.path))
        async with backend(tls) as (server, address):
            check = replace(CHECK, address=address, tls=context, server_name=server_name)
            assert await ask(check) is is_good
            assert len(server.asked) == is_good

    async def test_server_that_wants_a_certificate_gets_ours(self, authority: Authority) -> None:
        files, ours = authority.issue("chat", ("chat.internal",)), authority.issue("proxy", ("proxy.internal",))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(files.certificate, files.key)
        tls.load_verify_locations(authority.path)
        tls.verify_mode = ssl.CERT_REQUIRED
        context = ssl.create_default_context(cafile=str(authority.path))
        async with backend(tls) as (_, address):
            check = replace(CHECK, address=address, tls=context, server_name="chat.internal")
            assert not await ask(check)
            context.load_cert_chain(ours.certificate, ours.key)
            assert await ask(check)


class TestChecker:
    """What is reported, and when."""

    async def test_server_is_taken_out_after_fall_and_back_after_rise(self) -> None:
        turns = Turns()
        async with backend() as (server, address), running([replace(CHECK, address=address)], turns) as (_, reports):
            assert reports.verdicts == [("chat", str(address), True)]
            server.status = 500
            for expected in (1, 1, 2, 2):
                await turns.step()
                assert len(reports.verdicts) == expected
            assert reports.verdicts[-1] == ("chat", str(address), False)
            server.status = 200
            for expected in (2, 3, 3):
                await turns.step()
                assert len(reports.verdicts) == expected
            assert reports.verdicts[-1] == ("chat", str(address), True)

    async def test_server_that_is_down_at_first_is_known_at_once(self) -> None:
        async with running([CHECK], Turns()) as (_, reports):
            assert reports.verdicts == [("chat", "http://127.0.0.1:1", False)]

    async def test_what_was_known_before_is_kept_until_it_changes(self) -> None:
        turns, known = Turns(), {("chat", "http://127.0.0.1:1"): True}
        async with running([CHECK], turns, known) as (_, reports):
            await turns.step()
            assert reports.verdicts == []
            await turns.step()
            assert reports.verdicts == [("chat", "http://127.0.0.1:1", False)]

    async def test_one_server_does_not_hold_up_another(self) -> None:
        turns = Turns()
        async with backend() as (stuck, first), backend() as (_, second):
            stuck.is_stuck = True
            checks = [replace(CHECK, address=address) for address in (first, second)]
            async with running(checks, turns) as (_, reports):
                assert reports.verdicts == [("chat", str(second), True)]

    @pytest.mark.parametrize(("chance", "seconds"), [(0.0, 5.0), (0.5, 10.0), (0.999, 14.99)])
    async def test_interval_varies_by_its_jitter(self, chance: float, seconds: float) -> None:
        turns = Turns()
        async with running([CHECK], turns, chance=chance):
            assert turns.slept == [pytest.approx(seconds)]


class TestNotMade:
    """Checks that this process could not make."""

    async def test_a_server_is_not_down_because_we_have_no_descriptors(self) -> None:
        async with backend() as (server, address):
            turns, check = Turns(), replace(CHECK, address=address, fall=1)
            async with running([check], turns) as (_, reports):
                assert reports.verdicts == [("chat", str(address), True)]
                with no_descriptors():
                    await turns.step()
                    await turns.step()
                assert reports.not_made_here == ["Too many open files"] * 2
                assert reports.verdicts == [("chat", str(address), True)]
                server.status = 503
                await turns.step()
                assert reports.verdicts[1:] == [("chat", str(address), False)]
                assert reports.made_here == 2

    async def test_what_keeps_us_from_asking_is_no_answer_either(self) -> None:
        async with backend() as (server, address):
            turns = Turns()
            async with running([replace(CHECK, address=address)], turns) as (_, reports):
                reports.obstacle = "descriptors are kept for others"
                await turns.step()
                assert reports.not_made_here == ["descriptors are kept for others"]
                assert len(server.asked) == 1
