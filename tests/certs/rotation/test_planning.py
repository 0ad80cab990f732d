"""What is tried when, on two clocks."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.issuing.issuer import FailureKind
from certs.rotation.due import Current, RenewalReason, Wanted
from certs.rotation.planning import LONGEST_SLEEP_SECONDS, CredentialFacts, Instant, Key, Planner
from certs.rotation.retries import JITTER, TABLE
from certs.rotation.urgency import Urgency
from tests.certs.authority import DAY, NOW
from tests.certs.rotation.test_due import CURRENT, WANTED

CHAT: Key = ("chat", "ec")
FILES: Key = ("files", "ec")
LIFETIME = timedelta(days=9)
WAITS = {"issuers": [], "credentials": [], "compromised": [], "written": NOW.isoformat()}


def planner() -> Planner:
    return Planner(1 / 3, lambda: 0.0)


def at(days: float = 0.0, ticks: float = 0.0) -> Instant:
    return Instant(NOW + days * DAY, ticks)


def facts(key: Key = CHAT, issuer: str = "internal", **changes: Any) -> dict[Key, CredentialFacts]:
    return {key: CredentialFacts(replace(WANTED, issuer=issuer), replace(CURRENT, issuer=issuer, **changes))}


def succeeds(one: Planner, now: Instant, lifetime: timedelta = LIFETIME) -> None:
    one.succeeded(CHAT, "internal", now.wall, now.wall + lifetime, now)


def test_nothing_is_tried_before_it_is_due_and_nobody_sleeps_long() -> None:
    plan = planner().plan(facts(), at(5))
    assert plan.attempts == ()
    assert plan.sleep_seconds == LONGEST_SLEEP_SECONDS
    assert plan.standings[CHAT].urgency is Urgency.CALM


def test_what_is_due_soon_is_slept_for() -> None:
    plan = planner().plan(facts(), Instant(NOW + 6 * DAY - timedelta(seconds=5), 0.0))
    assert plan.attempts == ()
    assert 4 < plan.sleep_seconds <= 5.001


def test_what_is_missing_or_unusable_is_tried_at_once() -> None:
    missing = {
        CHAT: CredentialFacts(WANTED, None),
        FILES: CredentialFacts(replace(WANTED, issuer="b"), None, is_unusable=True),
    }
    assert planner().plan(missing, at()).attempts == ((CHAT, RenewalReason.FIRST), (FILES, RenewalReason.UNUSABLE))


def test_an_issuer_has_one_attempt_at_a_time() -> None:
    both = {**facts(CHAT), **facts(FILES)}
    assert planner().plan(both, at(7)).attempts == ((CHAT, RenewalReason.LIFETIME),)
    assert planner().plan(both, at(7), frozenset({"internal"})).attempts == ()
    others = {**facts(CHAT), **facts(FILES, "other")}
    assert len(planner().plan(others, at(7)).attempts) == 2


def test_the_most_urgent_comes_first() -> None:
    both = {**facts(CHAT), **facts(FILES, not_after=NOW + 8 * DAY)}
    assert planner().plan(both, at(7.5)).attempts == ((FILES, RenewalReason.LIFETIME),)


def test_a_failing_issuer_is_left_alone_by_all_its_credentials() -> None:
    one, both = planner(), {**facts(CHAT), **facts(FILES), **facts(("web", "ec"), "other")}
    one.issuer_failed("internal", CHAT, FailureKind.TEMPORARY, None, at(7, 100))
    plan = one.plan(both, at(7, 100))
    assert plan.attempts == ((("web", "ec"), RenewalReason.LIFETIME),)
    assert plan.standings[FILES].waits_seconds == 60.0
    assert plan.standings[CHAT].failures == 1
    assert one.plan(both, at(7, 160)).attempts[0][0] == CHAT


def test_a_permanent_failure_holds_for_one_credential() -> None:
    one, both = planner(), {**facts(CHAT), **facts(FILES)}
    one.issuer_failed("internal", CHAT, FailureKind.PERMANENT, None, at(7))
    assert one.plan(both, at(7, 60)).attempts == ((FILES, RenewalReason.LIFETIME),)
    assert one.plan(facts(CHAT), at(7, 3_599)).attempts == ()
    assert one.plan(facts(CHAT), at(7, 3_600)).attempts != ()


def test_a_change_of_the_configuration_begins_anew() -> None:
    one = planner()
    one.plan(facts(), at(7))
    one.issuer_failed("internal", CHAT, FailureKind.PERMANENT, None, at(7))
    changed = {CHAT: replace(facts()[CHAT], wanted=replace(WANTED, names=("other.test",)))}
    assert one.plan(changed, at(7)).attempts == ((CHAT, RenewalReason.NAMES),)


def test_a_command_waits_for_nothing_of_ours() -> None:
    one = planner()
    succeeds(one, at())
    one.credential_failed(CHAT, FailureKind.PERMANENT, at())
    one.issuer_failed("internal", CHAT, FailureKind.TEMPORARY, None, at())
    one.ask(CHAT, RenewalReason.COMMAND)
    assert one.plan(facts(), at()).attempts == ((CHAT, RenewalReason.COMMAND),)


def test_a_command_waits_for_what_the_issuer_has_asked_for_unless_it_insists() -> None:
    one = planner()
    one.issuer_failed("internal", CHAT, FailureKind.RATE_LIMITED, 7_200.0, at())
    one.ask(CHAT, RenewalReason.COMMAND)
    plan = one.plan(facts(), at())
    assert plan.attempts == ()
    assert plan.standings[CHAT].next_try(NOW) == NOW + timedelta(seconds=7_200)
    assert plan.standings[CHAT].heeds_seconds > 0
    assert one.plan(facts(), at(0, 7_200)).attempts == ((CHAT, RenewalReason.COMMAND),)
    for insisting in ({"reason": RenewalReason.COMMAND, "insists": True}, {"reason": RenewalReason.COMPROMISED}):
        one.ask(CHAT, **insisting)
        plan = one.plan(facts(), at())
        assert plan.attempts == ((CHAT, insisting["reason"]),)
        assert plan.standings[CHAT].heeds_seconds == 0.0


def test_whoever_insists_does_so_once() -> None:
    one = planner()
    one.ask(CHAT, RenewalReason.COMPROMISED)
    one.issuer_failed("internal", CHAT, FailureKind.RATE_LIMITED, 86_400.0, at())
    plan = one.plan(facts(), at())
    assert plan.attempts == ()
    assert plan.standings[CHAT].heeds_seconds > 0
    one.ask(CHAT, RenewalReason.COMMAND)
    assert one.plan(facts(), at()).attempts == ((CHAT, RenewalReason.COMPROMISED),), (
        "a person's command, whatever it says"
    )


def test_a_compromised_key_is_waited_for_no_longer_than_an_expired_certificate() -> None:
    one = planner()
    one.ask(CHAT, RenewalReason.COMPROMISED)
    one.issuer_failed("internal", CHAT, FailureKind.RATE_LIMITED, 86_400.0, at())
    assert one.plan(facts(), at(0, 3_600)).attempts == ((CHAT, RenewalReason.COMPROMISED),)


def test_no_wait_outlives_the_certificate() -> None:
    one, left = planner(), timedelta(minutes=6)
    ending = facts(not_after=NOW + left)
    one.issuer_failed("internal", CHAT, FailureKind.RATE_LIMITED, 86_400.0, at())
    one.credential_failed(CHAT, FailureKind.PERMANENT, at())
    assert one.plan(ending, at()).standings[CHAT].waits_seconds == 600.0
    other = planner()
    other.credential_failed(CHAT, FailureKind.PERMANENT, at())
    assert other.plan(ending, at()).standings[CHAT].waits_seconds == 120.0


@pytest.mark.parametrize("days", [20, -20])
def test_a_clock_that_jumps_does_not_leave_what_clients_refuse_serving_for_an_hour(days: int) -> None:
    one = planner()
    succeeds(one, at())
    fresh = facts(not_before=NOW, not_after=NOW + LIFETIME)
    assert one.plan(fresh, at(0, 5)).attempts == ()
    plan = one.plan(fresh, at(days, 5))
    assert [key for key, _ in plan.attempts] == [CHAT]


def test_what_cannot_be_used_is_waited_for_as_what_has_expired() -> None:
    one, damaged = planner(), {CHAT: CredentialFacts(replace(WANTED, issuer="internal"), None, is_unusable=True)}
    missing = {CHAT: replace(damaged[CHAT], is_unusable=False)}
    one.issuer_failed("internal", CHAT, FailureKind.RATE_LIMITED, 86_400.0, at())
    assert one.plan(damaged, at()).standings[CHAT].waits_seconds == 3_600.0
    assert one.plan(missing, at()).standings[CHAT].waits_seconds == 86_400.0, "nothing has ended"


def test_what_is_not_valid_yet_is_waited_for_as_what_has_expired() -> None:
    one = planner()
    one.credential_failed(CHAT, FailureKind.PERMANENT, at(-20))
    one.credential_failed(CHAT, FailureKind.PERMANENT, at(-20))
    assert one.plan(facts(), at(-20)).standings[CHAT].waits_seconds == 3_600.0


def test_a_version_that_was_gone_back_to_is_replaced_before_it_ends() -> None:
    one = planner()
    one.succeeded(CHAT, "internal", NOW - 9 * DAY, NOW + timedelta(minutes=10), at())
    old = facts(not_before=NOW - 9 * DAY, not_after=NOW + timedelta(minutes=10))
    assert one.plan(old, at(0, 299)).attempts == ()
    assert one.plan(old, at(0, 300)).attempts == ((CHAT, RenewalReason.LIFETIME),)


def test_an_issuer_with_other_settings_is_asked_at_once() -> None:
    one, both = planner(), {**facts(CHAT), **facts(FILES, "other")}
    one.plan(both, at(7))
    one.issuer_failed("internal", CHAT, FailureKind.RATE_LIMITED, 86_400.0, at(7))
    one.credential_failed(CHAT, FailureKind.PERMANENT, at(7))
    one.credential_failed(FILES, FailureKind.PERMANENT, at(7))
    one.issuer_changed("internal")
    assert one.plan(both, at(7)).attempts == ((CHAT, RenewalReason.LIFETIME),)


def test_a_command_is_tried_once_but_a_compromised_key_until_it_is_gone() -> None:
    one = planner()
    for reason in (RenewalReason.COMMAND, RenewalReason.COMPROMISED):
        one.ask(CHAT, reason)
        one.credential_failed(CHAT, FailureKind.TEMPORARY, at())
    assert one.is_compromised(CHAT)
    assert one.plan(facts(), at(0, 200)).attempts == ((CHAT, RenewalReason.COMPROMISED),)
    succeeds(one, at(0, 200))
    assert one.plan(facts(), at(0, 99_999)).attempts == ()


def test_a_successor_is_left_alone_for_a_while_whatever_speaks_for_it() -> None:
    one = planner()
    succeeds(one, at())
    assert one.plan(facts(is_weak=True), at(0, 3_599)).attempts == ()
    assert one.plan(facts(is_weak=True), at(0, 3_600)).attempts == ((CHAT, RenewalReason.WEAK),)
    succeeds(one, at(), lifetime=timedelta(seconds=100))
    assert one.plan(facts(is_weak=True), at(0, 10)).attempts != ()


def test_a_successor_that_a_change_of_the_configuration_makes_useless_is_replaced_at_once() -> None:
    one = planner()
    one.plan(facts(), at())
    succeeds(one, at())
    renamed = {CHAT: replace(facts()[CHAT], wanted=replace(WANTED, issuer="internal", names=("other.test",)))}
    assert one.plan(renamed, at(0, 1)).attempts == ((CHAT, RenewalReason.NAMES),)


def test_waits_outlive_the_process() -> None:
    one, two = planner(), planner()
    one.issuer_failed("internal", CHAT, FailureKind.TEMPORARY, None, at(7, 1_000))
    one.credential_failed(FILES, FailureKind.PERMANENT, at(7, 1_000))
    two.remember(one.remembered(at(7, 1_010)), at(7, 5))
    standings = two.plan({**facts(CHAT), **facts(FILES)}, at(7, 5)).standings
    assert standings[CHAT].waits_seconds == 50.0
    assert standings[FILES].waits_seconds == 3_590.0
    assert standings[FILES].failures == 1


def test_what_an_issuer_has_asked_for_outlives_the_process() -> None:
    one, two = planner(), planner()
    one.issuer_failed("internal", CHAT, FailureKind.RATE_LIMITED, 7_200.0, at())
    two.remember(one.remembered(at()), at())
    two.ask(CHAT, RenewalReason.COMMAND)
    assert two.plan(facts(), at()).standings[CHAT].waits_seconds == 7_200.0


@pytest.mark.parametrize(("hours", "left"), [(0.5, 1_800.0), (-5.0, 3_600.0), (500.0, 0.0)])
def test_the_time_that_a_process_was_gone_has_been_waited(hours: float, left: float) -> None:
    one, two = planner(), planner()
    one.credential_failed(CHAT, FailureKind.PERMANENT, at())
    two.remember(one.remembered(at()), at(hours / 24, 7))
    assert two.plan(facts(), at(0, 7)).standings[CHAT].waits_seconds == left


def test_a_command_after_a_restart_waits_for_nothing_of_ours() -> None:
    one, two = planner(), planner()
    one.ask(CHAT, RenewalReason.COMPROMISED)
    one.issuer_failed("internal", CHAT, FailureKind.TEMPORARY, None, at())
    two.remember(one.remembered(at()), at())
    assert two.plan(facts(), at()).attempts == (), "a process that ends repeatedly does not ask each time"
    two.ask(CHAT, RenewalReason.COMMAND)
    assert two.plan(facts(), at()).attempts == ((CHAT, RenewalReason.COMPROMISED),)


def test_a_compromised_key_is_not_forgotten_before_it_is_replaced() -> None:
    one, two, three = planner(), planner(), planner()
    one.ask(CHAT, RenewalReason.COMPROMISED)
    one.ask(CHAT, RenewalReason.COMMAND)
    one.ask(FILES, RenewalReason.COMMAND)
    one.credential_failed(CHAT, FailureKind.TEMPORARY, at())
    two.remember(one.remembered(at()), at())
    standings = two.plan({**facts(CHAT), **facts(FILES)}, at()).standings
    assert standings[CHAT].due.reason is RenewalReason.COMPROMISED
    assert standings[FILES].due.reason is not RenewalReason.COMMAND, "whoever asked was told that it failed"
    succeeds(two, at())
    three.remember(two.remembered(at()), at())
    assert three.plan(facts(CHAT), at()).standings[CHAT].due.reason is not RenewalReason.COMPROMISED


def test_a_process_that_dies_in_the_middle_of_an_attempt_counts_as_a_failure() -> None:
    one, two = planner(), planner()
    two.remember(one.remembered(at(), trying=["internal"]), at())
    assert two.plan(facts(), at(7)).standings[CHAT].waits_seconds == 60.0


@pytest.mark.parametrize(
    "waits",
    [
        {},
        {**WAITS, "issuers": [[1]]},
        {**WAITS, "issuers": [["a", "b", 1, "temporary", False]]},
        {**WAITS, "issuers": [["a", 1, "b", "temporary", False]]},
        {**WAITS, "issuers": [["a", 1, 1, "other", False]]},
        {**WAITS, "compromised": [[1]]},
        {**WAITS, "written": "long ago"},
        {"issuers": [], "credentials": [], "compromised": []},
    ],
)
def test_other_records_of_waits_are_refused(waits: Any) -> None:
    with pytest.raises(ValueError, match=r"not a record|unpack|isoformat|FailureKind"):
        planner().remember(waits, at())


def test_a_clock_that_jumps_back_does_not_prolong_a_wait() -> None:
    one = planner()
    one.issuer_failed("internal", CHAT, FailureKind.TEMPORARY, None, at(7, 0))
    assert one.plan(facts(not_before=NOW - 300 * DAY, not_after=NOW - 290 * DAY), at(-280, 60)).attempts != ()


# -- a week


@dataclass
class World:
    """Credentials, a CA that is there or not, and clocks, for a simulated week."""

    outages: list[tuple[float, float]]
    kinds: list[FailureKind]
    jumps: dict[int, float]
    ticks: float = 0.0
    offset: float = 0.0
    attempts: list[tuple[float, bool, FailureKind, float]] = field(default_factory=list)
    expired: list[float] = field(default_factory=list)

    @property
    def now(self) -> Instant:
        return Instant(NOW + timedelta(seconds=self.ticks + self.offset), self.ticks)

    @property
    def is_up(self) -> bool:
        return not any(start <= self.ticks < end for start, end in self.outages)


def simulate(world: World, lifetime: timedelta, count: int, seconds: float) -> None:
    one = Planner(0.34, lambda: 0.5)
    keys = [(f"identity{number}", "ec") for number in range(count)]
    current: dict[Key, Current] = {}
    pending = sorted(world.jumps.items())
    while world.ticks < seconds:
        while pending and pending[0][0] <= world.ticks:
            world.offset += pending.pop(0)[1]
        known = {key: CredentialFacts(Wanted(("a.test",), "k", "ca"), current.get(key)) for key in keys}
        plan = one.plan(known, world.now)
        for key, _ in plan.attempts:
            kind = world.kinds[len(world.attempts) % len(world.kinds)]
            ends = [one_of.not_after for one_of in current.values()]
            left = (min(ends) - world.now.wall).total_seconds() if ends else float("inf")
            world.attempts.append((world.ticks, world.is_up, kind, left))
            if world.is_up:
                begin = world.now.wall
                jitter = (37 * len(world.attempts) % 200 - 100) / 100
                current[key] = Current(begin, begin + lifetime, ("a.test",), "k", "ca", begin, jitter)
                one.succeeded(key, "ca", begin, begin + lifetime, world.now)
            else:
                one.issuer_failed("ca", key, kind, None, world.now)
        world.expired += [world.ticks for one_of in current.values() if one_of.not_after <= world.now.wall]
        world.ticks += max(1.0, plan.sleep_seconds) if not plan.attempts else 1.0


LEAST = {FailureKind.TEMPORARY: 60.0, FailureKind.RATE_LIMITED: 600.0}


def never_beyond_the_table(world: World) -> None:
    failures = 0
    for (before, was_up, kind, left), (after, *_) in zip(world.attempts, world.attempts[1:], strict=False):
        failures = 0 if was_up else failures + 1
        if failures:
            row = TABLE[kind]
            # a clock that jumps may bring the end nearer than it was
            shortened = LEAST[kind] if world.jumps else max(LEAST[kind], left / 3)
            assert after - before >= min(row[min(failures, len(row)) - 1], shortened) - 1e-3, "asked again too soon"


HOURS = 3_600.0
LONGEST_GAP = TABLE[FailureKind.TEMPORARY][-1] * (1 + JITTER) + 120.0


@pytest.mark.at_length
@settings(deadline=None, max_examples=5)
@given(
    outages=st.lists(st.tuples(st.floats(0, 168), st.floats(0.01, 40)), max_size=12),
    count=st.integers(1, 5),
    lifetime_hours=st.sampled_from([24.0, 72.0, 144.0]),
)
def test_a_week_with_outages_never_expires_what_a_ca_would_have_renewed(
    outages: list[tuple[float, float]], count: int, lifetime_hours: float
) -> None:
    world = World([(start * HOURS, (start + length) * HOURS) for start, length in outages], [FailureKind.TEMPORARY], {})
    lifetime = timedelta(hours=lifetime_hours)
    simulate(world, lifetime, count, 7 * 24 * HOURS)
    never_beyond_the_table(world)
    # the least time between the date when one is due and its end; within it, the CA must not have been there for long enough
    room = 0.34 * 0.9 * lifetime_hours * HOURS
    for moment in world.expired:
        assert longest_presence(world.outages, moment - room, moment) < LONGEST_GAP + count, (
            "expired although it need not"
        )


def longest_presence(outages: list[tuple[float, float]], start: float, end: float) -> float:
    """The longest time in an interval in which nothing was out."""
    longest, at_last = 0.0, start
    for begin, over in sorted(outages):
        if over <= at_last:
            continue
        if begin >= end:
            break
        longest = max(longest, begin - at_last)
        at_last = over
    return max(longest, end - at_last)


@pytest.mark.at_length
@settings(deadline=None, max_examples=10)
@given(
    jumps=st.dictionaries(st.integers(0, 48 * 3_600), st.floats(-400 * 86_400, 400 * 86_400), max_size=6),
    kinds=st.lists(st.sampled_from(list(FailureKind)), min_size=1, max_size=5),
    outage=st.tuples(st.floats(0, 20), st.floats(0, 10)),
)
def test_a_clock_that_jumps_storms_nobody(
    jumps: dict[int, float], kinds: list[FailureKind], outage: tuple[float, float]
) -> None:
    count = 3
    temporary: list[FailureKind] = [one for one in kinds if one is not FailureKind.PERMANENT]
    temporary.append(FailureKind.TEMPORARY)
    world = World([(outage[0] * HOURS, sum(outage) * HOURS)], temporary, jumps)
    simulate(world, timedelta(days=6), count, 48 * HOURS)
    never_beyond_the_table(world)
    # each credential once at the beginning and once for each jump, and no more often than its spacing allows
    assert sum(was_up for _, was_up, *_ in world.attempts) <= count * (1 + len(jumps))


PLEXI: Key = ("chat", "ec@plexi")
SPARE: Key = ("chat", "ec@spare")


def replicas(**changes: Any) -> dict[Key, CredentialFacts]:
    return {**facts(PLEXI, "a", **changes), **facts(SPARE, "b", **changes)}


def test_one_replica_is_replaced_at_a_time() -> None:
    missing = {key: replace(one, current=None) for key, one in replicas().items()}
    one = planner()
    assert one.plan(missing, at()).attempts == ((PLEXI, RenewalReason.FIRST),)
    assert one.plan(missing, at(), frozenset({"a"}), [PLEXI]).attempts == ()
    one.succeeded(PLEXI, "a", NOW, NOW + LIFETIME, at())
    assert one.plan({**missing, **facts(PLEXI, "a")}, at()).attempts == ((SPARE, RenewalReason.FIRST),)
    for key in (PLEXI, SPARE):
        one.ask(key, RenewalReason.COMMAND)
    assert len(one.plan(replicas(), at()).attempts) == 1


def test_a_replica_that_is_good_for_a_while_follows_after_the_spacing() -> None:
    one = planner()
    due = replicas()
    assert [key for key, _ in one.plan(due, at(6.5)).attempts] == [PLEXI]
    one.succeeded(PLEXI, "a", NOW + 6.5 * DAY, NOW + 15.5 * DAY, at(6.5))
    due |= facts(PLEXI, "a", not_before=NOW + 6.5 * DAY, not_after=NOW + 15.5 * DAY)
    assert one.plan(due, at(6.5)).attempts == ()
    assert one.plan(due, at(6.5)).standings[SPARE].waits_seconds == 3_600
    assert one.plan(due, at(6.55, 3_600)).attempts == ((SPARE, RenewalReason.LIFETIME),)
    lost = {key: replace(known, is_lost=key == SPARE) for key, known in due.items()}
    assert one.plan(lost, at(6.5)).attempts == ((SPARE, RenewalReason.LOST),), "it does not sign any more"
    renamed = {key: replace(known, wanted=replace(known.wanted, names=("new.test",))) for key, known in due.items()}
    assert [reason for _, reason in one.plan(renamed, at(6.5)).attempts] == [RenewalReason.NAMES], (
        "it has no name that clients ask for"
    )


def test_a_restart_forgets_no_spacing_of_what_is_scheduled() -> None:
    new = {"not_before": NOW, "not_after": NOW + LIFETIME, "key_made_at": NOW}
    serving = {"not_before": NOW - 8 * DAY, "not_after": NOW + DAY, "key_made_at": NOW - 8 * DAY}
    due = {**facts(SPARE, "b", **serving), **facts(PLEXI, "a", **new)}
    later = Instant(NOW + timedelta(seconds=600), 50.0)
    one = planner()
    assert one.plan(due, later).standings[SPARE].waits_seconds == 3_000
    assert one.plan(due, Instant(NOW + timedelta(hours=1), 3_050.0)).attempts == ((SPARE, RenewalReason.LIFETIME),)
    renamed = {key: replace(known, wanted=replace(known.wanted, names=("new.test",))) for key, known in due.items()}
    assert len(planner().plan(renamed, later).attempts) == 1, "an operator has changed the names and started it again"
    old = {**due, **facts(PLEXI, "a", **{**new, "key_made_at": NOW - timedelta(hours=2)})}
    for known, now in ((old, later), (due, at(-1))):
        assert planner().plan(known, now).standings[SPARE].waits_seconds == 0


def test_a_lost_key_keeps_within_the_budget_of_a_public_ca_unless_a_command_asks() -> None:
    lost = {
        key: replace(known, is_lost=key == SPARE, orders=(NOW, NOW - DAY), losses=(NOW,))
        for key, known in replicas().items()
    }
    one = planner()
    plan = one.plan(lost, at())
    assert (plan.attempts, plan.standings[SPARE].waits_seconds) == ((), 3_600)
    assert one.plan({SPARE: lost[SPARE]}, at()).standings[SPARE].waits_seconds == 3_600, "also if nothing else signs"
    assert one.plan(lost, Instant(NOW + timedelta(hours=1), 0.0)).attempts == ((SPARE, RenewalReason.LOST),)
    one.ask(SPARE, RenewalReason.COMMAND)
    assert one.plan(lost, at()).attempts == ((SPARE, RenewalReason.COMMAND),)


def test_credentials_of_another_kind_or_identity_do_not_wait_for_each_other() -> None:
    several = {**facts(PLEXI, "a"), **facts(("chat", "rsa"), "b"), **facts(("files", "ec"), "c")}
    assert {key for key, _ in planner().plan(several, at(6.5)).attempts} == several.keys()


def test_a_lost_key_waits_as_the_issuer_asks_while_a_replica_signs() -> None:
    one = planner()
    one.issuer_failed("b", SPARE, FailureKind.RATE_LIMITED, 86_400, at())
    lost = {key: replace(known, is_lost=key == SPARE) for key, known in replicas().items()}
    assert one.plan(lost, at()).standings[SPARE].waits_seconds >= 86_400
    both = {key: replace(known, is_lost=True) for key, known in lost.items()}
    assert one.plan(both, at()).standings[SPARE].waits_seconds == 3_600, "the site is down"
    assert one.plan({SPARE: lost[SPARE]}, at()).standings[SPARE].waits_seconds == 3_600


def test_a_lost_key_is_replaced_at_once_and_those_that_are_lost_again_later_and_later() -> None:
    one = planner()
    one.succeeded(SPARE, "b", NOW, NOW + LIFETIME, at())
    lost = {key: replace(known, is_lost=key == SPARE) for key, known in replicas().items()}
    ticks = 0.0
    for wait in (0, 60, 180, 420, 900, 1_860, 3_600, 3_600):
        plan = one.plan(lost, at(1, ticks))
        assert plan.standings[SPARE].waits_seconds == wait
        ticks += wait
        assert one.plan(lost, at(1, ticks)).attempts == ((SPARE, RenewalReason.LOST),)
        one.succeeded(SPARE, "b", NOW + DAY, NOW + DAY + LIFETIME, at(1, ticks))
    ticks += 7_200  # after so long the next loss is the first one
    assert one.plan(lost, at(1, ticks)).attempts == ((SPARE, RenewalReason.LOST),)
    one.succeeded(SPARE, "b", NOW + DAY, NOW + DAY + LIFETIME, at(1, ticks))
    assert one.plan(lost, at(1, ticks)).standings[SPARE].waits_seconds == 60
    one.ask(SPARE, RenewalReason.COMMAND)
    one.plan(lost, at(1, ticks))
    one.succeeded(SPARE, "b", NOW + DAY, NOW + DAY + LIFETIME, at(1, ticks))
    assert one.plan(lost, at(1, ticks)).attempts == ((SPARE, RenewalReason.LOST),)


def imposed(reason: RenewalReason | None, *, is_held: bool = False) -> dict[Key, CredentialFacts]:
    return {CHAT: replace(facts()[CHAT], imposed=reason, is_held=is_held)}


def test_a_node_that_does_not_lead_only_takes_what_the_fleet_has() -> None:
    one = planner()
    plan = one.plan(imposed(None, is_held=True), at(7))
    assert plan.attempts == ()
    assert plan.standings[CHAT].due.reason is RenewalReason.LIFETIME
    assert one.plan(imposed(RenewalReason.EXPELLED, is_held=True), at(1)).attempts == ()
    assert one.plan(imposed(RenewalReason.FLEET, is_held=True), at(1)).attempts == ((CHAT, RenewalReason.FLEET),)


def test_what_the_fleet_has_is_taken_whatever_was_asked_and_whatever_an_issuer_wants() -> None:
    one = planner()
    succeeds(one, at())
    one.ask(CHAT, RenewalReason.COMPROMISED)
    one.issuer_failed("internal", CHAT, FailureKind.RATE_LIMITED, 3_600, at())
    assert one.plan(imposed(RenewalReason.FLEET), at()).attempts == ((CHAT, RenewalReason.FLEET),)
    one.credential_failed(CHAT, FailureKind.TEMPORARY, at())
    assert one.plan(imposed(RenewalReason.FLEET), at()).standings[CHAT].waits_seconds == 60


def test_a_key_that_an_expelled_node_knew_is_replaced_also_right_after_a_rotation() -> None:
    one = planner()
    succeeds(one, at())
    assert one.plan(imposed(RenewalReason.EXPELLED), at()).attempts == ((CHAT, RenewalReason.EXPELLED),)
