"""A worker under a parent that the test plays: two phases, sockets by descriptor, figures, the end."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from certs.files.directory import open_log
from config.schema import LogFormat
from config.values.pkcs11_uri import Pkcs11Uri
from proxy.limits.shared import SharedTable
from proxy.observe.logs.log import Log
from proxy.observe.logs.log_writer import LogWriter
from proxy.processes.material import Material
from proxy.processes.messages.answers import Done, KeyTried, PreparedToServe, RingUses, ServersSeen, WorkerFigures
from proxy.processes.messages.codec import encode
from proxy.processes.messages.questions import (
    Abort,
    Accept,
    Begin,
    Commit,
    Drain,
    EndNow,
    KnownBeside,
    Leave,
    LogSettings,
    Ping,
    PinVerdict,
    Question,
    ShowAlternatives,
    ShowChallenges,
    ShowMaintenance,
    ShowShares,
    SwitchLog,
    TakeConnection,
    TakeRingUses,
    TellFigures,
    TellServers,
    TokenLookedAt,
    TryKey,
    Verdict,
)
from proxy.processes.messages.refusals import ConfigurationRefused, QuestionFailed, QuestionRefused
from proxy.processes.messages.wire import AnswerT, decode_answer, decode_question, encode_question
from proxy.supervisor.control.inspection import connected_pair
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.workers.sockets import ListeningSockets, addresses_of
from proxy.tls.handshake.challenge import TlsChallenge
from proxy.tls.openssl import libssl
from proxy.worker.control import WorkerControl
from tests.configurations import MINIMAL_REST, Site, listener
from tests.fakes_signing import SilentParent
from tests.silent_files import silence
from tests.waiting import until, until_seen
from tests.workforces import REQUEST, edition_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


class Parent:
    """Asks as the workforce does: with copies of descriptors, which are the worker's."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site, self.directory = site, directory
        self.log = Log(LogWriter(open_log(directory / "log"), 1_000), LogFormat.JSON, has_colours=False)
        self.ends = 0
        self.sockets = ListeningSockets()
        self.control = WorkerControl(
            asyncio.get_running_loop(), self.log, SharedTable.private(), None, self.ended, SilentParent()
        )
        self.given: set[int] = set()

    def ended(self) -> None:
        self.ends += 1

    async def ask(self, question: Question[AnswerT], descriptors: Sequence[int] = ()) -> AnswerT:
        """As it goes over the channel."""
        asked = decode_question(*json.loads(json.dumps(encode_question(question))))
        answer = await self.control.answer(asked, [os.dup(one) for one in descriptors])
        return decode_answer(question, json.loads(json.dumps(encode(answer))))

    async def prepare(self, edition: Edition, material: Material | None = None) -> PreparedToServe:
        descriptor = (edition.material if material is None else material).memory_file()
        try:
            return await self.ask(edition.question(), [descriptor])
        finally:
            os.close(descriptor)

    def listing(self, slots: Sequence[int] = (0,)) -> tuple[Accept, list[int]]:
        listeners = {
            one.listener: tuple(one.by_slot[slot].fileno() for slot in slots if slot < len(one.by_slot))
            for one in self.sockets.bound
        }
        listed = {number for numbers in listeners.values() for number in numbers}
        new = sorted(listed - self.given)
        self.given = listed
        return Accept(listeners, tuple(new)), new

    async def commit(self, edition: Edition, slots: Sequence[int] = (0,)) -> None:
        gone = self.sockets.prepare(addresses_of(edition.binds), 1).commit()
        accept, descriptors = self.listing(slots)
        known = KnownBeside((), ShowChallenges((), {}), (), ShowMaintenance(()), ShowShares({}), ShowAlternatives({}))
        await self.ask(Commit(edition.number, known, accept), descriptors)
        for one in gone:
            one.close()

    async def use(self, text: str, number: int = 1) -> Edition:
        edition = edition_of(self.site, text, number)
        await self.prepare(edition)
        await self.commit(edition)
        return edition

    def port(self, name: str = "public", slot: int = 0) -> int:
        (bound,) = (one for one in self.sockets.bound if one.listener == name)
        port: int = bound.by_slot[slot].getsockname()[1]
        return port

    async def visit(self, name: str = "public") -> bytes:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port(name), ssl=self.site.authority.client_context(), server_hostname="chat.test"
        )
        writer.write(REQUEST)
        status = await reader.readuntil(b"\r\n")
        writer.transport.abort()
        return status


@asynccontextmanager
async def parent(site: Site, directory: Path) -> AsyncIterator[Parent]:
    """A worker until it is drained; nothing of it stays open."""
    loop = asyncio.get_running_loop()
    before = descriptors()
    asking = Parent(site, directory)
    try:
        yield asking
    finally:
        if not asking.ends:
            await asking.ask(Drain(0.0, gently=False))
        await until(lambda: asking.ends)
        asking.sockets.close()
        assert asking.log.close(10)
        loop.set_exception_handler(None)
    await asyncio.sleep(0)
    assert descriptors() <= before


def descriptors() -> set[str]:
    """What is open, but for what the loop opens, and the stand-ins that a process keeps for its life."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        try:
            target = str(path.readlink())
        except OSError:
            continue
        if (
            "anon_inode" not in target
            and "plexigate-limits" not in target
            and "memfd:stand-in" not in target
            and "/proc/" not in target
            and target != os.devnull
        ):
            found.add(f"{path.name} {target}")
    return found


class TestTwoPhases:
    async def test_nothing_is_served_before_the_first_commit(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            edition = edition_of(site, site.minimal)
            answer = await asking.prepare(edition)
            assert [one.name for one in answer.offers.listeners] == ["public"]
            assert answer.warnings == ()
            assert await asking.ask(TellFigures()) == WorkerFigures(0, {}, ())
            assert await asking.ask(TellServers()) == ServersSeen(())
            await asking.commit(edition)
            assert (await asking.visit()).startswith(b"HTTP/1.1 421")
            assert [(one.state, one.is_unreachable) for one in (await asking.ask(TellServers())).servers] == [
                ("up", False)
            ]
            (requests,) = (await asking.ask(TellFigures())).snapshot["listener_requests"]
            assert requests == {"listener": "public", "status": "4xx", "count": 1}

    async def test_what_was_prepared_is_served_by_after_the_commit_only(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            await asking.use(site.minimal)
            both = edition_of(site, listener("public") + listener("second") + site.identity + MINIMAL_REST, 2)
            await asking.prepare(both)
            assert (await asking.visit()).startswith(b"HTTP/1.1 421")
            await asking.commit(both)
            assert (await asking.visit("second")).startswith(b"HTTP/1.1 421")

    async def test_problems_are_refused_and_the_old_one_is_served(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            await asking.use(site.minimal)
            broken = edition_of(site, listener("public", groups=["nonsense"]) + site.identity + MINIMAL_REST, 2)
            with pytest.raises(QuestionRefused) as caught:
                await asking.prepare(broken)
            assert isinstance(caught.value.reason, ConfigurationRefused)
            assert [problem.key for problem in caught.value.reason.problems] == ["listener.public.groups"]
            with pytest.raises(QuestionRefused, match="not prepared"):
                await asking.commit(broken)
            assert (await asking.visit()).startswith(b"HTTP/1.1 421")

    async def test_abort_drops_it(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            edition = edition_of(site, site.minimal)
            await asking.prepare(edition)
            await asking.ask(Abort())
            with pytest.raises(QuestionRefused, match="not prepared"):
                await asking.commit(edition)

    async def test_another_number_is_not_what_was_prepared(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            await asking.prepare(edition_of(site, site.minimal, 1))
            with pytest.raises(QuestionRefused, match="not prepared"):
                await asking.commit(edition_of(site, site.minimal, 2))

    @pytest.mark.parametrize("is_aborted", [True, False])
    async def test_build_that_was_given_up_does_not_spoil_the_one_that_came_next(
        self,
        site: Site,
        tmp_path: Path,
        is_aborted: bool,  # noqa: FBT001
    ) -> None:
        """A file that hangs, then answers: its worker must not refuse what all others serve by."""
        authorities = tmp_path / "ca.pem"
        authorities.write_bytes(site.authority.path.read_bytes())
        rest = MINIMAL_REST.replace("http:", "https:").replace("[[route]]", f'ca = "{authorities}"\n[[route]]')
        slow = edition_of(site, listener("public") + site.identity + rest, 1)
        without = Material({path: one for path, one in slow.material.items() if path != str(authorities)})

        async with parent(site, tmp_path) as asking:
            loop = asyncio.get_running_loop()
            with silence(authorities):
                before = set(threading.enumerate())  # other tests may have left threads that hang
                hanging = loop.create_task(asking.prepare(slow, without))
                await until_seen(lambda: any(one.name == "work" for one in set(threading.enumerate()) - before))
                if is_aborted:
                    await asking.ask(Abort())
                edition = edition_of(site, site.minimal, 2)
                if not is_aborted:
                    await asking.prepare(edition)
                assert not hanging.done()
            with pytest.raises(QuestionRefused, match="aborted"):
                await hanging
            if is_aborted:
                await asking.prepare(edition)
            await asking.commit(edition)
            assert (await asking.visit()).startswith(b"HTTP/1.1 421")

    async def test_interpreter_that_cannot_serve_says_so(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unsuitable(_path: Path) -> None:
            raise libssl.InterpreterUnsuitable("an old ssl", "another Python")

        monkeypatch.setattr(libssl, "load_configuration", unsuitable)
        async with parent(site, tmp_path) as asking:
            with pytest.raises(QuestionRefused) as caught:
                await asking.prepare(edition_of(site, site.minimal))
            assert caught.value.reason == QuestionFailed("an old ssl; another Python")

    async def test_problems_name_files_as_the_configuration_does(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            edition = edition_of(site, site.minimal)
            garbled = Material({path: type(one)(one.mode, b"nonsense") for path, one in edition.material.items()})
            with pytest.raises(QuestionRefused) as caught:
                await asking.prepare(edition, garbled)
            assert isinstance(caught.value.reason, ConfigurationRefused)
            problems = caught.value.reason.problems
            assert {problem.key for problem in problems} == {"identity.chat.certificate", "identity.chat.key"}
            assert "/proc/" not in str(problems)


class TestChallenges:
    async def test_those_of_the_last_question_are_shown_from_the_first_commit_on(
        self, site: Site, tmp_path: Path
    ) -> None:
        async with parent(site, tmp_path) as asking:
            with pytest.raises(QuestionRefused, match="nothing is served yet"):
                await asking.ask(ShowChallenges((), {}))
            await asking.use(site.minimal)
            assert asking.control._worker is not None
            pending = asking.control._worker._challenges
            for names in (["a.test", "b.test"], ["b.test"], []):
                shown = tuple(TlsChallenge(name, bytes(32)) for name in names)
                await asking.ask(ShowChallenges(shown, dict.fromkeys(names, "")))
                assert [pending.context_for(name) is not None for name in ("a.test", "b.test")] == [
                    "a.test" in names,
                    "b.test" in names,
                ]

    async def test_lists_and_tokens_are_those_of_the_last_question(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            await asking.use(site.minimal)
            assert asking.control._worker is not None
            for lists in ({"ca.test/": b"1"}, {}):
                await asking.ask(ShowChallenges((), {"token": "it"}, lists))
                services = asking.control._worker._plain_services
                assert (services.tokens, services.lists) == ({"token": "it"}, lists)


class TestSockets:
    async def test_those_that_are_listed_and_no_others(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            edition = await asking.use(site.minimal)
            asking.sockets.prepare(addresses_of(edition.binds), 2).commit()
            assert asking.control._worker is not None
            for slots in ((0, 1), (1,), (0,), ()):
                accept, new = asking.listing(slots)
                await asking.ask(accept, new)
                taken = asking.control._worker._listeners["public"]._acceptor._sockets
                assert {sock.fileno() for sock in asking.control._sockets.values()} == {one.fileno() for one in taken}
                assert len(taken) == len(slots)

    async def test_connection_of_the_parent_is_served_as_if_it_had_been_accepted(
        self, site: Site, tmp_path: Path
    ) -> None:
        async with parent(site, tmp_path) as asking:
            edition = edition_of(site, site.minimal)
            ours, theirs = connected_pair()
            with theirs:
                with pytest.raises(QuestionRefused, match="no listener public accepts here"):
                    await asking.ask(TakeConnection("public"), [theirs.fileno()])
                await asking.prepare(edition)
                await asking.commit(edition)
                with pytest.raises(QuestionRefused, match="no listener other accepts here"):
                    await asking.ask(TakeConnection("other"), [theirs.fileno()])
                assert await asking.ask(TakeConnection("public"), [theirs.fileno()]) == Done()
            context = site.authority.client_context()
            reader, writer = await asyncio.open_connection(sock=ours, ssl=context, server_hostname="chat.test")
            writer.write(REQUEST)
            assert (await reader.readline()).startswith(b"HTTP/1.1 421 ")
            writer.transport.abort()

    async def test_question_before_the_first_commit_is_kept_for_it(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            edition = edition_of(site, site.minimal)
            asking.sockets.prepare(addresses_of(edition.binds), 1).commit()
            accept, new = asking.listing((0,))
            await asking.ask(accept, new)
            await asking.prepare(edition)
            await asking.commit(edition)
            assert (await asking.visit()).startswith(b"HTTP/1.1 421")


class TestTheRest:
    async def test_ping_is_answered_at_any_time(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            assert await asking.ask(Ping()) == Done()

    async def test_what_is_for_one_that_serves_is_refused_before(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            for question in (
                EndNow(),
                Verdict("chat", "http://10.0.0.1"),
                TokenLookedAt("a", ok=True),
                PinVerdict("a", is_refused=True),
            ):
                with pytest.raises(QuestionRefused, match="nothing is served yet"):
                    await asking.ask(question)
            assert await asking.ask(TakeRingUses()) == RingUses(())
            assert await asking.ask(TryKey(Pkcs11Uri("plexi"))) == KeyTried(is_used=False, signs=False)

    async def test_worker_begins_once(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            with pytest.raises(QuestionRefused, match="the worker has already started"):
                await asking.ask(Begin("1-0", None, LogSettings(LogFormat.JSON, has_colours=False, queue_lines=1)))

    async def test_log_goes_elsewhere_in_another_form(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            await asking.use(site.minimal)
            elsewhere = open_log(tmp_path / "elsewhere")
            await asking.ask(SwitchLog(LogFormat.PRETTY), [elsewhere])
            os.close(elsewhere)
            await asking.visit()
        assert "421" in (tmp_path / "elsewhere").read_text()
        assert not (tmp_path / "elsewhere").read_text().startswith("{")
        assert (tmp_path / "log").read_text() == ""

    async def test_drain_answers_with_the_last_figures_and_then_it_ends(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            await asking.use(site.minimal)
            await asking.visit()
            port = asking.port()
            asking.sockets.close()
            answer = await asking.ask(Drain(5.0, gently=False))
            assert asking.ends == 0
            assert answer.snapshot["listener_requests"][0]["count"] == 1
            await until(lambda: asking.ends)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))

    async def test_one_that_is_let_go_leaves_what_waits_on_its_sockets_and_ends_by_itself(
        self, site: Site, tmp_path: Path
    ) -> None:
        async with parent(site, tmp_path) as asking:
            await asking.use(site.minimal)
            await asking.visit()
            answer = await asking.ask(Leave(5.0))
            assert answer.snapshot["listener_requests"][0]["count"] == 1
            with socket.create_connection(("127.0.0.1", asking.port())):
                await until(lambda: asking.ends)
                (bound,) = asking.sockets.bound
                bound.by_slot[0].accept()[0].close()
        assert '"drained"' in (tmp_path / "log").read_text()

    async def test_end_lets_a_drain_wait_no_longer(self, site: Site, tmp_path: Path) -> None:
        async with parent(site, tmp_path) as asking:
            await asking.use(site.minimal)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", asking.port(), ssl=site.authority.client_context(), server_hostname="chat.test"
            )
            writer.write(b"GET / HTTP/1.1\r\n")
            loop = asyncio.get_running_loop()
            draining = loop.create_task(asking.ask(Drain(3_600.0, gently=False)))
            await asyncio.sleep(0)
            await asking.ask(EndNow())
            await draining
            assert await reader.read() == b""
            writer.transport.abort()
