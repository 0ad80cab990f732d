"""All workers show a challenge before a CA may look, those that join later too; and a name is shown one at a time."""

import asyncio
import gc
import socket
import ssl
from pathlib import Path

import pytest

from proxy.processes.messages.answers import Done
from proxy.processes.messages.questions import Question, ShowChallenges
from proxy.supervisor.challenges import Challenges
from proxy.tls.handshake.challenge import TlsChallenge
from tests.configurations import Site
from tests.waiting import until, until_seen
from tests.workforces import RunningWorkforce, workforce

CHAT = TlsChallenge("chat.test", bytes(range(32)))
AGAIN = TlsChallenge("chat.test", bytes(32))
FILES = TlsChallenge("files.test", bytes(32))


class Telling:
    """Remembers what all workers were told; answers when the test says."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def tell_all(self, order: Question[Done], descriptors: object = ()) -> None:
        """Note the names."""
        assert isinstance(order, ShowChallenges)
        assert descriptors == ()
        self.told.append([*(one.name for one in order.names), *order.tokens])
        await self.goes_on.wait()


async def test_it_is_shown_when_all_have_heard() -> None:
    telling = Telling()
    challenges = Challenges(telling)
    telling.goes_on.clear()
    task = asyncio.get_running_loop().create_task(challenges.present(CHAT))
    await until(lambda: telling.told)
    assert not task.done()
    assert challenges.shown.names == (CHAT,)
    telling.goes_on.set()
    await task
    await challenges.present(FILES)
    await challenges.withdraw(CHAT)
    assert telling.told == [["chat.test"], ["chat.test", "files.test"], ["files.test"]]


async def test_second_challenge_for_a_name_waits_for_the_end_of_the_first() -> None:
    challenges = Challenges(Telling())
    await challenges.present(CHAT)
    task = asyncio.get_running_loop().create_task(challenges.present(AGAIN))
    await challenges.present(FILES)
    assert not task.done()
    await challenges.withdraw(CHAT)
    await task
    assert set(challenges.shown.names) == {AGAIN, FILES}
    await challenges.withdraw(CHAT)  # of somebody who gave up waiting: not his to take away
    assert set(challenges.shown.names) == {AGAIN, FILES}


@pytest.mark.parametrize("is_waiting_for_a_turn", [True, False])
async def test_one_that_is_given_up_leaves_nothing(is_waiting_for_a_turn: bool) -> None:  # noqa: FBT001 - a parameter of the test
    telling = Telling()
    challenges = Challenges(telling)
    if is_waiting_for_a_turn:
        await challenges.present(CHAT)
    telling.goes_on.clear()
    task = asyncio.get_running_loop().create_task(challenges.present(AGAIN))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    telling.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert challenges.shown.names == ((CHAT,) if is_waiting_for_a_turn else ())


async def test_token_is_shown_when_all_have_heard_and_no_more_once_it_is_withdrawn() -> None:
    telling = Telling()
    challenges = Challenges(telling)
    telling.goes_on.clear()
    task = asyncio.get_running_loop().create_task(challenges.present_token("token", "token.thumbprint"))
    await until(lambda: telling.told)
    assert not task.done()
    assert challenges.shown == ShowChallenges((), {"token": "token.thumbprint"})
    telling.goes_on.set()
    await task
    await challenges.withdraw_token("token")
    await challenges.withdraw_token("token")
    assert telling.told == [["token"], [], []]


async def test_all_workers_show_the_lists_that_are_there_and_hear_of_a_change_only() -> None:
    telling = Telling()
    challenges = Challenges(telling)
    for lists in ({"ca.test/a.crl": b"1"}, {"ca.test/a.crl": b"1"}, {}):
        await challenges.show_lists(lists)
        assert challenges.shown == ShowChallenges((), {}, lists)
    assert len(telling.told) == 2


async def test_token_that_is_given_up_leaves_nothing() -> None:
    telling = Telling()
    challenges = Challenges(telling)
    telling.goes_on.clear()
    task = asyncio.get_running_loop().create_task(challenges.present_token("token", "token.thumbprint"))
    await until(lambda: telling.told)
    task.cancel()
    telling.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert challenges.tokens == {}


def looked_at(port: int, name: str = "chat.test") -> bytes | None:
    """The certificate that a CA is shown, None for a refusal."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["acme-tls/1"])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        try:
            with context.wrap_socket(sock, server_hostname=name) as tls:
                return tls.getpeercert(binary_form=True)
        except ssl.SSLError as error:
            # the two Pythons spell it differently
            is_refused = "no application protocol" in str(error).lower().replace("_", " ")
            return None if is_refused else str(error).encode()


async def everywhere(run: RunningWorkforce, name: str = "chat.test") -> list[bytes | None]:
    """What is shown by all workers: so many connections meet each of two but for a chance of 2**-23."""
    return [await asyncio.to_thread(looked_at, run.port, name) for _ in range(24)]


async def test_every_worker_answers_those_that_come_later_too(site: Site, tmp_path: Path) -> None:
    async with workforce(site, tmp_path, "workers = 2\n" + site.minimal) as run:
        challenges = Challenges(run.workforce)
        run.parent.challenges = lambda: challenges.shown
        assert set(await everywhere(run)) == {None}
        await challenges.present(CHAT)
        shown = await everywhere(run)
        assert len(set(shown)) == 2  # each worker has its own key
        assert all(one is not None and CHAT.digest in one for one in shown)
        before = run.pids
        for worker in run.workforce.workers:
            worker.kill()
        await until_seen(lambda: len(run.pids) == 2 and not set(before) & set(run.pids))
        await run.settled()
        again = await everywhere(run)
        assert not set(again) & set(shown)
        assert all(one is not None and CHAT.digest in one for one in again)
        assert await asyncio.to_thread(looked_at, run.port, "files.test") is None
        await challenges.withdraw(CHAT)
        assert set(await everywhere(run)) == {None}
    gc.collect()  # the memory that workers count in: the next test counts descriptors
