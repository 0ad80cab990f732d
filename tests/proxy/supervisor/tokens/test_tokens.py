"""The parent's word about tokens: to workers that begin, to those that serve, to whoever asks
whether it is ready."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from certs.hsm.access import TokenChoice
from certs.hsm.facts import KeyAddress, TokenFacts
from certs.tokens.prober import Condition, ProbeFinding
from certs.tokens.token_use import KeyPlace, NamedKey, TokenUse
from proxy.net.tasks import Tasks
from proxy.processes.messages.answers import Done
from proxy.processes.messages.questions import PinVerdict, Question, TokenLookedAt, ToldToken
from proxy.signing.breaker import BreakerState
from proxy.signing.token import TokenPinRefused
from proxy.supervisor.tokens.contracts import TokenUser
from proxy.supervisor.tokens.tokens import ParentTokens
from tests.hsm.shim import CKR_DEVICE_ERROR, TokenControl
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token
from tests.tried_tokens import use_of
from tests.waiting import until_seen

S = BreakerState
WELL = ProbeFinding(Condition.WELL)
ABSENT = ProbeFinding(Condition.ABSENT, "no_such_token", "no token with label plexi")
REFUSED = ProbeFinding(Condition.REFUSED, "CKR_PIN_INCORRECT", "the PIN was refused")
CHAT = {"chat": frozenset({KeyPlace("plexi", "pkcs11:a"), KeyPlace("spare", "pkcs11:b")})}


@dataclass
class OneWorker:
    """What the parent knows of a worker."""

    slot: int
    pid: int
    started: float = 0.0
    is_retiring: bool = False
    is_alive: bool = True


@dataclass
class Workers:
    """Stands for a workforce: remembers what its workers are told, and who is replaced."""

    workers: list[OneWorker] = field(default_factory=lambda: [OneWorker(0, 4_000), OneWorker(1, 4_001)])
    told: list[PinVerdict | TokenLookedAt] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)

    async def tell_all(self, order: Question[Done]) -> None:
        assert isinstance(order, PinVerdict | TokenLookedAt)
        self.told.append(order)

    async def replace(self, worker: TokenUser) -> None:
        self.replaced.append(worker.pid)


@dataclass
class Parent:
    """Tokens of a parent with two workers."""

    workforce: Workers
    tokens: ParentTokens
    events: list[dict[str, Any]]

    def breaker(self, slot: int, token: str, state: BreakerState) -> None:
        self.tokens.breaker_changed(self.workforce.workers[slot], token, state)

    def keys(self, slot: int, token: str, *missing: str) -> None:
        self.tokens.keys_missing(self.workforce.workers[slot], token, frozenset(missing))

    def follow(
        self, use: TokenUse, finding: ProbeFinding, identities: Mapping[str, frozenset[KeyPlace]] | None = None
    ) -> None:
        self.tokens.admit([use], {use.name: finding})
        self.tokens.follow([use], identities or {})


@pytest.fixture
async def parent(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parent]:
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch._KEPT_SECONDS", 0.01)
    loop, workforce, errors = asyncio.get_running_loop(), Workers(), list[BaseException]()
    tasks, events = Tasks(loop, errors.append), list[dict[str, Any]]()
    tokens = ParentTokens(loop, tasks, workforce, lambda event: events.append(event.as_json()), lambda *_: None)
    yield Parent(workforce, tokens, events)
    await tasks.cancel_all()
    tokens.close()
    assert errors == []


async def test_each_login_is_tried_once(parent: Parent, use: TokenUse, control: TokenControl) -> None:
    findings = await parent.tokens.examine([use], 20)
    assert findings == {"plexi": WELL}
    parent.follow(use, findings["plexi"])
    assert await parent.tokens.examine([use], 20) == {}, "it is known"
    other = replace(use, login=b"another PIN")
    assert list(await parent.tokens.examine([other], 20)) == ["plexi"]
    assert control.calls("C_Login") == 2


async def test_token_that_a_module_has_missed_is_looked_for_once_more(
    parent: Parent, hsm_site: HsmSite, use: TokenUse, tmp_path: Path
) -> None:
    (place,) = (hsm_site.hsm.directory / "tokens").iterdir()
    spare = hsm_site.hsm.add_token("spare")
    away, before = place.rename(tmp_path / "away"), children()
    async with asyncio.TaskGroup() as group:
        with hsm_site.hsm.shim.token("spare").hanging("C_Login"):
            looks = group.create_task(parent.tokens.examine([use, use_of(hsm_site.hsm, spare)], 20))
            await until_seen(lambda: len(children() - before) == 2)
            await until_seen(lambda: len(children() - before) == 1)  # plexi is not there; spare keeps its process
            away.rename(place)
    assert looks.result() == {"plexi": WELL, "spare": WELL}


async def test_token_that_is_not_there_at_the_second_look_either(parent: Parent, use: TokenUse) -> None:
    missing = replace(use, access=replace(use.access, token=TokenChoice("missing")))
    assert (await parent.tokens.examine([missing], 20))["plexi"].is_no_such_token


def children() -> set[str]:
    """The processes of this one, also what tests before have left behind: multiprocessing keeps
    one for good."""
    return {one for task in Path("/proc/self/task").iterdir() for one in (task / "children").read_text().split()}


async def test_what_it_knows_of_a_pin_is_in_force_for_workers_that_have_not_heard_of_it(
    parent: Parent, use: TokenUse
) -> None:
    def is_forbidden() -> bool:
        try:
            with parent.tokens.turns.turn("plexi"):
                return False
        except TokenPinRefused:
            return True

    parent.follow(use, REFUSED)
    assert is_forbidden()
    parent.tokens.admit([replace(use, login=b"another PIN")], {"plexi": WELL})
    assert not is_forbidden()
    (watch,) = parent.tokens._watches.values()
    parent.tokens.found(watch, REFUSED, REFUSED.condition)
    assert is_forbidden()
    parent.tokens.may_log_in(watch)
    assert not is_forbidden()


async def test_the_module_of_a_token_that_hangs_is_left_when_nobody_gets_ready(parent: Parent, use: TokenUse) -> None:
    well = replace(use, name="spare", login=b"another")
    parent.tokens.admit(
        [use, well], {"plexi": ProbeFinding(Condition.UNWELL, "CKR_DEVICE_ERROR", "it fails"), "spare": WELL}
    )
    assert not parent.tokens.leave_module([use, well]), "it answers"
    assert not any(one.module_is_down for one in parent.tokens.closed([use, well]).values())
    parent.tokens.admit([use], {"plexi": ProbeFinding(Condition.UNWELL, "deadline", "it hangs")})
    assert parent.tokens.leave_module([use, well])
    told = parent.tokens.closed([use, well])
    assert {name: one.module_is_down for name, one in told.items()} == {"plexi": True, "spare": False}
    assert parent.events[-1] == {"event": "module_skipped", "token": "plexi"}
    assert not parent.tokens.leave_module([use, well]), "once is enough"


async def test_slots_that_do_not_answer_are_known_until_their_token_is_well(parent: Parent, use: TokenUse) -> None:
    here = replace(WELL, facts=TokenFacts(5, "plexi", "", "", "", 0, None, None, ()))
    late = ProbeFinding(Condition.UNWELL, "deadline", "it hangs")
    parent.follow(use, WELL)
    (watch,) = parent.tokens._watches.values()
    for finding, silent in (
        (replace(late, silent_slots=frozenset({5, 7})), {5, 7}),
        (here, {7}),
        (replace(late, facts=here.facts), {5, 7}),
        (ABSENT, {5, 7}),
        (replace(here, silent_slots=frozenset()), set[int]()),
    ):
        parent.tokens.found(watch, finding, Condition.WELL)
        assert parent.tokens.silent_slots == silent
    await until_seen(lambda: TokenLookedAt("plexi", ok=True, silent_slots=(7,)) in parent.workforce.told)


async def test_workers_that_begin_are_told(parent: Parent, use: TokenUse) -> None:
    assert parent.tokens.closed([use]) == {}, "nothing is known: they look for themselves"
    parent.tokens.admit([use], {"plexi": ABSENT})
    told = ToldToken("absent", ABSENT.detail, module_is_down=False)
    assert parent.tokens.closed([use]) == {"plexi": told}
    parent.tokens.follow([use], {})
    assert parent.tokens.closed([use]) == {"plexi": told}
    assert parent.tokens.closed([replace(use, login=b"another PIN")]) == {}
    (event,) = parent.events
    assert (event["event"], event["token"], event["condition"]) == ("token_condition", "plexi", "absent")


async def test_a_refused_pin_names_its_source(parent: Parent, use: TokenUse) -> None:
    parent.follow(use, REFUSED)
    assert parent.events[0]["pin_source"] == "file plexi.pin"
    assert parent.tokens.refused == ["plexi"]
    (scraped,) = parent.tokens.scrape()
    assert (scraped.condition, scraped.errors, scraped.max_sessions) == ("pin_refused", {"CKR_PIN_INCORRECT": 1}, 16)


async def test_what_was_counted_stays_when_the_pin_is_another_one(parent: Parent, use: TokenUse) -> None:
    parent.follow(use, REFUSED)
    parent.follow(replace(use, login=b"another PIN"), WELL)
    assert parent.tokens.refused == []
    assert parent.tokens.scrape()[0].errors == {"CKR_PIN_INCORRECT": 1}
    parent.tokens.follow([], {})
    assert parent.tokens.scrape() == []


async def test_all_workers_hear_of_probes_while_one_is_in_trouble(parent: Parent, use: TokenUse) -> None:
    parent.follow(use, WELL)
    parent.breaker(0, "plexi", S.SLOW)
    await asyncio.sleep(0)
    assert parent.tokens.scrape()[0].sessions == 0, "slowness is the worker's to judge"
    parent.breaker(0, "plexi", S.OPEN)
    await until_seen(lambda: TokenLookedAt("plexi", ok=True) in parent.workforce.told)
    parent.breaker(0, "plexi", S.CLOSED)
    await until_seen(lambda: parent.tokens.scrape()[0].sessions == 0)
    assert parent.workforce.replaced == []


@pytest.mark.parametrize("state", [S.HALF_OPEN, S.PROVED])
async def test_a_worker_that_looks_or_has_a_good_probe_has_the_parent_look_too(
    parent: Parent, use: TokenUse, control: TokenControl, monkeypatch: pytest.MonkeyPatch, state: BreakerState
) -> None:
    monkeypatch.setattr("proxy.supervisor.tokens.token_watch.BACK_OFF_SECONDS", (0.0, 3_600.0))
    parent.follow(use, WELL)
    with control.failing(CKR_DEVICE_ERROR, "C_Login"):
        parent.breaker(0, "plexi", S.OPEN)
        await until_seen(lambda: TokenLookedAt("plexi", ok=False) in parent.workforce.told)
    parent.breaker(0, "plexi", state)
    async with asyncio.timeout(20):
        await until_seen(lambda: TokenLookedAt("plexi", ok=True) in parent.workforce.told)


async def test_a_worker_that_stays_in_trouble_is_replaced_where_an_identity_depends_on_it(
    parent: Parent, use: TokenUse
) -> None:
    parent.follow(use, ABSENT, {"chat": frozenset({KeyPlace("plexi", "pkcs11:a")})})
    parent.breaker(0, "plexi", S.OPEN)
    parent.breaker(1, "plexi", S.OPEN)
    parent.breaker(1, "plexi", S.HALF_OPEN)  # its probe takes a while
    await until_seen(lambda: len(parent.workforce.replaced) > 0)
    assert parent.workforce.replaced == [4_000]
    parent.breaker(1, "plexi", S.CLOSED)
    assert [event["event"] for event in parent.events if event["event"] == "worker_blind"] == ["worker_blind"]
    parent.tokens.worker_gone(parent.workforce.workers[0])
    await until_seen(lambda: parent.tokens.scrape()[0].sessions == 0)


async def test_a_worker_that_stays_in_trouble_is_kept_while_another_token_signs(parent: Parent, use: TokenUse) -> None:
    parent.follow(use, WELL, CHAT)
    parent.breaker(0, "plexi", S.OPEN)
    await until_seen(
        lambda: [one.get("replaced") for one in parent.events if one["event"] == "worker_blind"] == [False]
    )
    assert parent.workforce.replaced == []
    parent.breaker(0, "spare", S.OPEN)
    await until_seen(lambda: parent.workforce.replaced == [4_000])
    parent.breaker(0, "plexi", S.CLOSED)
    await until_seen(lambda: parent.tokens.scrape()[0].sessions == 0)


async def test_one_worker_that_was_refused_stops_all_until_the_parent_knows(
    parent: Parent, use: TokenUse, control: TokenControl
) -> None:
    parent.follow(use, WELL)
    parent.breaker(0, "plexi", S.STOPPED)
    parent.breaker(1, "plexi", S.STOPPED)
    async with asyncio.timeout(20):
        await until_seen(lambda: PinVerdict("plexi", is_refused=False) in parent.workforce.told)
    said = [one.is_refused for one in parent.workforce.told if isinstance(one, PinVerdict)]
    assert said == [True, False], "the PIN is right: it was somebody else who mistyped"
    assert control.calls("C_Login") == 1


async def test_ready_while_every_identity_has_a_key_in_every_worker(parent: Parent) -> None:
    assert parent.tokens.why_not_ready(CHAT) is None
    for token in ("plexi", "spare"):
        parent.breaker(1, token, S.OPEN)
    reason = parent.tokens.why_not_ready(CHAT)
    assert reason == "identity chat has no key that can sign in worker 1: plexi, spare"
    assert parent.tokens.why_not_ready({}) is None
    parent.breaker(1, "spare", S.SLOW)
    assert parent.tokens.why_not_ready(CHAT) is None, "late is better than never"
    for state in (S.HALF_OPEN, S.PROVED, S.STOPPED):
        parent.breaker(1, "spare", state)
        assert parent.tokens.why_not_ready(CHAT) is not None
    parent.tokens.worker_gone(parent.workforce.workers[1])
    assert parent.tokens.why_not_ready(CHAT) is None
    parent.workforce.workers[0].is_retiring = True
    for token in ("plexi", "spare"):
        parent.breaker(0, token, S.OPEN)
    assert parent.tokens.why_not_ready(CHAT) is None, "it takes no clients any more"


async def test_not_ready_where_a_token_that_works_does_not_have_the_key(parent: Parent, use: TokenUse) -> None:
    parent.follow(replace(use, named=(NamedKey("pkcs11:a", KeyAddress("chat"), ("chat",)),)), WELL)
    parent.keys(0, "plexi", "pkcs11:a")
    assert parent.tokens.why_not_ready(CHAT) is None, "the spare one has it"
    assert parent.tokens.scrape()[0].missing_keys == {"pkcs11:a": ("chat",)}
    parent.breaker(0, "spare", S.OPEN)
    reason = "identity chat has no key that can sign in worker 0: plexi without pkcs11:a, spare"
    assert parent.tokens.why_not_ready(CHAT) == reason
    parent.keys(0, "plexi")
    assert parent.tokens.why_not_ready(CHAT) is None
    assert [event["state"] for event in parent.events if event["event"] == "token_key"] == ["missing", "found"]


async def test_the_only_key_of_a_token_is_named_when_the_parent_does_not_find_it_either(
    parent: Parent, hsm_site: HsmSite, plexi: Token, use: TokenUse
) -> None:
    hsm_site.hsm.destroy(plexi, "chat")
    parent.follow(replace(use, named=(NamedKey("pkcs11:a", KeyAddress("chat"), ("chat",)),)), WELL)
    parent.keys(0, "plexi")
    parent.breaker(0, "plexi", S.OPEN)
    async with asyncio.timeout(20):
        await until_seen(lambda: "pkcs11:a" in parent.tokens.scrape()[0].missing_keys)
    assert parent.tokens.scrape()[0].condition == "unwell"
    with_nothing_new = ProbeFinding(Condition.ABSENT, "no_such_token", "it is not there")
    (watch,) = parent.tokens._watches.values()
    parent.tokens.found(watch, with_nothing_new, Condition.UNWELL)
    assert parent.tokens.scrape()[0].missing_keys, "a token that is unavailable says nothing of its keys"
    parent.breaker(0, "plexi", S.CLOSED)
    assert not parent.tokens.scrape()[0].missing_keys
