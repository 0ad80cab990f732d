"""How the process ends an HTTP/2 connection: it is asked to leave, and never cut while it may finish."""

from dataclasses import replace

from proxy.downstream.http2.ending import Http2Ending
from tests.fakes_http import CLASSICAL, handshake_policy
from tests.fakes_http2 import Http2Conversation


class Recorder:
    """A connection that notes what it is told."""

    def __init__(self, talk: Http2Conversation) -> None:
        self.facts = talk.connection.facts
        self.waits_since: float | None = 7.0
        self.is_new = False
        self.told: list[str] = []

    def leave(self) -> None:
        """Note it."""
        self.told.append("leave")

    def drain(self, seconds: float) -> None:
        """Note it."""
        self.told.append(f"drain within {seconds:g}")

    def give_up(self, reason: str) -> None:
        """Note it."""
        self.told.append(reason)

    def shed(self) -> None:
        """Note it."""
        self.told.append("shed")


def case() -> tuple[Http2Conversation, Recorder, Http2Ending]:
    talk = Http2Conversation()
    connection = Recorder(talk)
    return talk, connection, Http2Ending(talk.service, connection)


def test_drain_is_the_same_however_gentle_it_is() -> None:
    _, connection, ending = case()
    ending.drain(1.0)
    ending.drain(1.0, gently=True)
    assert connection.told == ["drain within 1", "drain within 1"]


def test_only_a_configuration_that_forbids_the_client_makes_it_leave() -> None:
    talk, connection, ending = case()
    ending.configuration_changed(1.0)
    assert connection.told == []
    runtime = replace(talk.service.runtime, policies={"public": handshake_policy(CLASSICAL)})
    talk.service.use(runtime, 1.0)
    ending.configuration_changed(1.0)
    assert connection.told == ["leave"]


def test_connection_is_idle_since_it_waits() -> None:
    _, connection, ending = case()
    assert ending.idle is not None
    assert ending.idle.since == 7.0
    connection.waits_since = None
    assert ending.idle is None
    ending.shed()
    ending.give_up("why")
    assert connection.told == ["shed", "why"]
