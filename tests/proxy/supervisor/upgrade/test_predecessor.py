"""The older process, seen from the new one: what it orders, and what its end means."""

import asyncio
import os
from datetime import UTC, datetime

import pytest

from config.values.problems import Problem, Severity
from proxy.processes.upgrade_wire import UpgradeWire, WireBroken, pair
from proxy.supervisor.secrets.ticket_record import TicketRecord
from proxy.supervisor.upgrade.handover import HandedState
from proxy.supervisor.upgrade.predecessor import GivenBack, Predecessor
from proxy.tls.openssl.tickets import TicketSecrets

STATE = HandedState(TicketRecord(TicketSecrets.fresh(), datetime(2026, 11, 28, tzinfo=UTC)), (), ("plexigate",), {})


class Workers:
    """Two serve, and one of them is silent."""

    workers = ("first", "silent")

    async def answering(self) -> int:
        return 1


class Talk:
    """Both ends."""

    def __init__(self) -> None:
        self.older, theirs = pair()
        self.predecessor = Predecessor(UpgradeWire(theirs))
        self.loop = asyncio.get_running_loop()

    def may_take(self) -> "asyncio.Task[None]":
        return self.loop.create_task(self.predecessor.may_take(self.loop))

    def proven(self) -> "asyncio.Task[None]":
        return self.loop.create_task(self.predecessor.proven(self.loop, ["/run/admin.sock"], Workers()))

    async def heard(self) -> tuple[str, object]:
        said = await self.older.heard(self.loop)
        return said.kind, dict(said.body)

    def close(self) -> None:
        self.older.close()
        self.predecessor.close()


async def given_back(what: "asyncio.Task[None]") -> None:
    with pytest.raises(GivenBack, match="continues to serve"):
        await what


class TestBeginning:
    """Before there is an event loop."""

    def test_a_usual_start_has_none(self) -> None:
        assert Predecessor.from_environment({}) is None
        assert Predecessor.from_environment({"PLEXIGATE_UPGRADE": "x"}) is None
        assert Predecessor.from_environment({"PLEXIGATE_UPGRADE": "9999"}) is None

    def test_the_wire_comes_by_the_environment_and_is_not_inherited_further(self) -> None:
        older, theirs = pair()
        number = theirs.detach()
        os.set_inheritable(number, True)  # noqa: FBT003 - the call has no other form
        environment = {"PLEXIGATE_UPGRADE": str(number)}
        predecessor = Predecessor.from_environment(environment)
        assert predecessor is not None
        assert environment == {}
        assert not os.get_inheritable(number)
        older.say("handover", STATE.as_body([]))
        state, _ = predecessor.greet()
        assert state == STATE
        assert (hello := older.hear()).kind == "hello"
        assert (hello.body["protocol"], hello.body["pid"]) == (2, os.getpid())
        predecessor.step("the configuration is read")
        assert older.hear().body == {"step": "the configuration is read"}
        problems = [Problem("f", "a", "x", "y", severity) for severity in (Severity.ERROR, Severity.WARNING)]
        predecessor.refuse("so", problems)
        assert older.hear().body == {"reason": "so", "problems": [problems[0].as_json()]}
        older.close()
        predecessor.step("nobody hears it")
        predecessor.refuse("nobody hears it")
        with pytest.raises(WireBroken):
            predecessor.greet()
        predecessor.close()

    def test_it_is_not_wanted(self) -> None:
        older, theirs = pair()
        predecessor = Predecessor(UpgradeWire(theirs))
        older.say("give back")
        with pytest.raises(GivenBack):
            predecessor.greet()
        older.close()
        predecessor.close()


class TestTaking:
    """When all workers are ready."""

    async def test_it_waits_for_the_order(self) -> None:
        talk = Talk()
        taking = talk.may_take()
        assert await talk.heard() == ("ready", {})
        talk.older.say("take")
        await taking
        talk.close()

    async def test_it_is_not_wanted(self) -> None:
        talk = Talk()
        talk.older.say("give back")
        await given_back(talk.may_take())
        talk.close()

    async def test_the_older_process_has_ended(self) -> None:
        talk = Talk()
        talk.older.close()
        await given_back(talk.may_take())
        talk.close()


class TestProving:
    """When all workers serve."""

    async def test_it_answers_until_everything_is_left_to_it(self) -> None:
        talk = Talk()
        proving = talk.proven()
        assert await talk.heard() == ("serving", {"places": ["/run/admin.sock"], "workers": 2})
        talk.older.say("ping")
        assert await talk.heard() == ("pong", {"workers": 1})
        talk.older.say("keep", {"workers": [7, 8, "x"]})
        assert await talk.heard() == ("kept", {})
        assert not proving.done()
        talk.older.say("main", {"reload": True})
        await proving
        talk.predecessor.confirm()
        assert await talk.heard() == ("owns", {})
        assert (talk.predecessor.workers, talk.predecessor.wants_reload) == ((7, 8), True)
        talk.close()

    async def test_the_older_process_has_crashed_before_it_has_left_everything(self) -> None:
        talk = Talk()
        proving = talk.proven()
        talk.older.say("keep")
        assert await talk.heard() == ("serving", {"places": ["/run/admin.sock"], "workers": 2})
        assert await talk.heard() == ("kept", {})
        talk.older.close()
        with pytest.raises(WireBroken):
            await proving
        assert talk.predecessor.has_left_state
        talk.predecessor.confirm()  # nobody hears it
        talk.close()

    @pytest.mark.parametrize("before", [[], ["keep"]])
    async def test_it_is_given_back(self, before: list[str]) -> None:
        talk = Talk()
        for kind in (*before, "give back"):
            talk.older.say(kind)
        await given_back(talk.proven())
        talk.close()

    async def test_the_older_process_has_crashed(self) -> None:
        talk = Talk()
        talk.older.close()
        with pytest.raises(WireBroken):
            await talk.proven()
        talk.close()
