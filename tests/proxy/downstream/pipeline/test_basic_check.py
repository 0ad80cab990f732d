"""Names and passwords: who passes, what guessing costs, and what the server learns."""

from base64 import b64encode
from collections.abc import Callable

import pytest

from proxy.auth.basic import challenge
from proxy.auth.rules import BasicRule
from proxy.auth.users import parse_users
from proxy.downstream.service.slow_work import SharedWork, WorkCrowdedOut, WorkOutcome
from proxy.limits.fair_queue import NoRoom
from proxy.limits.request_rates import ClientRates
from tests.fakes_http import Conversation, FakeStream, request, response
from tests.proxy.auth.test_password_hash import scrypt

USERS = parse_users(f"ada:{scrypt(b'secret')}".encode())


class Thread:
    """In the place of the thread: computes when the test says so, or takes nothing."""

    def __init__(self, room: NoRoom | None) -> None:
        self.jobs: list[tuple[bytes, Callable[[], bytes], WorkOutcome]] = []
        self.done = 0
        self._room = room

    def begin(
        self, network: bytes, is_wanted: Callable[[], bool], compute: Callable[[], bytes], outcome: WorkOutcome
    ) -> NoRoom | None:
        """Note it, or refuse."""
        assert is_wanted()
        if self._room is None:
            self.jobs.append((network, compute, outcome))
        return self._room

    def run(self) -> None:
        """Compute what waits."""
        while self.jobs:
            _, compute, outcome = self.jobs.pop(0)
            self.done += 1
            outcome(compute(), None)


class Site:
    """A conversation on a route that asks for a password."""

    def __init__(self, room: NoRoom | None = None, *, is_exempt: bool = False) -> None:
        rule = BasicRule.of(USERS, challenge("Admins"), "chat.test/", bytes(32))
        self.of = Conversation(auth=rule, rates=None if is_exempt else ClientRates(b"network"))
        self.thread = Thread(room)
        self.of.service.shared_work = SharedWork(self.thread)

    def ask(self, text: bytes | None = b"ada:secret", *more: bytes) -> None:
        """Send a request with these credentials."""
        lines = [] if text is None else [b"Authorization: Basic " + b64encode(text)]
        self.of.receive(request(*lines, *more))

    def status(self) -> bytes:
        """The status of the answer."""
        sent = self.of.client.sent()
        assert sent.startswith(b"HTTP/1.1 ")
        return sent[9:12]


def test_without_credentials_the_client_is_asked_for_them() -> None:
    site = Site()
    site.ask(None)
    sent = site.of.client.sent()
    assert sent.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b'\r\nWWW-Authenticate: Basic realm="Admins", charset="UTF-8"\r\n' in sent
    assert b"Payload" not in sent
    assert site.of.records[0].error == "auth: no credentials"


def test_right_password_lets_in_and_stays_with_the_proxy() -> None:
    site = Site()
    site.ask(b"ada:secret", b"X-Forwarded-User: root", b"X_Forwarded_User: root")
    assert site.of.server.waiting == []
    site.thread.run()
    got = site.of.answer(response(b"Content-Length: 2", body=b"hi"))
    assert b"\r\nX-Forwarded-User: ada\r\n" in got
    assert b"root" not in got
    assert b"uthorization" not in got
    assert site.status() == b"200"


def test_right_password_is_verified_once_and_its_memory_is_used() -> None:
    site = Site()
    backend: FakeStream | None = None
    for _ in range(3):
        site.ask()
        site.thread.run()
        # later requests get the connection of the first one at once
        backend = site.of.server.lend() if backend is None else backend
        assert backend.sent().startswith(b"GET / ")
        backend.receive(response(b"Content-Length: 0"))
    assert site.thread.done == 1


@pytest.mark.parametrize("text", [b"ada:Secret", b"eve:secret", b"ada:"])
def test_wrong_ones_are_asked_again_and_never_remembered(text: bytes) -> None:
    site = Site()
    for done in (1, 2):
        site.ask(text)
        site.thread.run()
        assert site.status() == b"401"
        assert site.thread.done == done
    assert site.of.records[0].error == "auth: wrong name or password"
    assert site.of.server.waiting == []


def test_guesses_over_the_rate_are_refused_before_they_cost_anything() -> None:
    site = Site()
    for number in range(10):
        site.ask(b"ada:guess%d" % number)
        site.thread.run()
        assert site.status() == b"401"
    site.ask(b"ada:guess10")
    assert site.thread.jobs == []
    assert site.status() == b"429"


def test_client_that_is_exempt_has_no_rate() -> None:
    site = Site(is_exempt=True)
    for number in range(12):
        site.ask(b"ada:guess%d" % number)
        site.thread.run()
        assert site.status() == b"401"


@pytest.mark.parametrize(("room", "status"), [(NoRoom.SHARE, b"429"), (NoRoom.FULL, b"503")])
def test_full_queue_refuses(room: NoRoom, status: bytes) -> None:
    site = Site(room)
    site.ask()
    assert site.status() == status


@pytest.mark.parametrize(("error", "status"), [(WorkCrowdedOut(), b"503"), (MemoryError(), b"500")])
def test_computation_that_fails_lets_nobody_in(error: Exception, status: bytes) -> None:
    site = Site()
    site.ask()
    site.thread.jobs[0][2](None, error)
    assert site.status() == status
    assert site.of.server.waiting == []


def test_client_that_leaves_gets_nothing_and_the_others_their_answer() -> None:
    site = Site()
    site.ask()
    site.of.client.lose()
    site.thread.run()
    assert [record.status for record in site.of.records] == [499]
    assert site.of.server.waiting == []
