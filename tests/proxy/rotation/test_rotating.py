"""The loop that keeps certificates fresh, turn by turn, by clocks that stand until they are set."""

import asyncio
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

from certs.issuing.issuer import FailureKind, IssueFailed
from certs.keys.home import HomeFailed
from certs.rotation.due import RenewalReason
from certs.rotation.planning import LONGEST_SLEEP_SECONDS
from proxy.rotation.running import NotRenewed, Renewed
from tests.certs.authority import DAY
from tests.certs.fake_token import FakeToken
from tests.parts import part
from tests.proxy.rotation.turning import CHAT, DOWN, LIMITED, Turning, serving
from tests.rotations import REFUSED, Rotations, configuration
from tests.simulated_rotations import Simulation


async def test_without_a_configuration_nothing_is_done(tmp_path: Path) -> None:
    idle = Turning(Rotations(tmp_path))
    await idle.rotating.follow(None)
    assert await idle.turn() > LONGEST_SLEEP_SECONDS
    assert idle.rotating.listing() == []


async def test_what_is_missing_comes_at_once_and_is_renewed_in_time(turning: Turning) -> None:
    await turning.turn()
    assert serving(turning) == 1
    await turning.turn()
    assert serving(turning) == 1
    turning.scene.time.passes(5 * DAY)
    await turning.turn()
    assert serving(turning) == 2
    assert turning.rotating.rotations == {"ok": 2, "failed": 0}


async def test_failures_keep_what_there_is_and_wait_by_the_table(turning: Turning) -> None:
    await turning.turn()
    turning.scene.time.passes(5 * DAY)
    turning.scene.moody.failures = [DOWN] * 50
    await turning.turn()
    asked = len(turning.scene.moody.asked)
    for _ in range(5):
        assert 0 < await turning.turn() <= LONGEST_SLEEP_SECONDS
    assert len(turning.scene.moody.asked) == asked
    assert serving(turning) == 1
    (listed,) = turning.rotating.listing()
    assert listed["last_error"] == "certificate: the CA is down"
    assert part(listed["next"])["failures"] == 1


async def test_a_clock_that_jumps_leaves_nothing_serving_that_clients_refuse(turning: Turning) -> None:
    await turning.turn()
    for version, days in ((2, 20), (3, -20)):
        turning.scene.time.now += days * DAY
        turning.scene.time.ticks += 5.0
        await turning.turn()
        assert serving(turning) == version


async def test_a_command_rotates_now_and_tells_its_steps(turning: Turning) -> None:
    await turning.turn()
    steps = await turning.rotate()
    assert [step.get("step") for step in steps[:-1]] == ["new key", "certificate", "checks", "stored", "swapped in"]
    assert steps[-1]["ok"]
    assert serving(turning) == 2


async def test_a_command_waits_for_nothing_of_ours(turning: Turning) -> None:
    await turning.turn()
    turning.scene.time.passes(5 * DAY)
    turning.scene.moody.failures = [DOWN]
    await turning.turn()
    steps = await turning.rotate()
    assert "waiting" not in [step.get("step") for step in steps]
    assert serving(turning) == 2


async def test_a_command_tells_until_when_the_issuer_wants_to_be_left_alone(turning: Turning) -> None:
    await turning.turn()
    turning.scene.time.passes(5 * DAY)
    turning.scene.moody.failures = [LIMITED, LIMITED]
    await turning.turn()
    _, waiting = await anext(turning.rotating.rotate([CHAT], RenewalReason.COMMAND))
    assert waiting["step"] == "waiting"
    assert waiting["until"] == (turning.scene.time.now + timedelta(seconds=waiting["seconds"])).isoformat()
    assert "rate-limited by issuer internal (certificate: too many requests)" in waiting["detail"]
    asked = len(turning.scene.moody.asked)
    assert turning.scene.moody.asked[-1].heeds_seconds > 0
    steps = await turning.rotate(insists=True)
    assert [step.get("step") for step in steps] == ["new key", "certificate"]
    assert len(turning.scene.moody.asked) == asked + 1
    assert turning.scene.moody.asked[-1].heeds_seconds == 0.0


async def test_a_command_says_that_its_issuer_is_busy(turning: Turning) -> None:
    turning.scene.follow(configuration("ec-p256@file", "rsa-2048@file"))
    await turning.rotating.follow(turning.scene.parts)
    turning.scene.moody.before = lambda: None
    await turning.rotating.turn()
    _, told = await anext(turning.rotating.rotate([("chat", "rsa")], RenewalReason.COMMAND))
    assert told == {"note": "queued: issuer internal is busy with another request"}


async def test_an_issuer_with_other_settings_is_asked_at_once(turning: Turning) -> None:
    turning.scene.moody.failures = [IssueFailed(FailureKind.PERMANENT, "no such account")]
    await turning.turn()
    assert await turning.turn() > 0
    assert serving(turning) is None
    turning.scene.follow(configuration(issuer='lifetime = "6d"'))
    await turning.rotating.follow(turning.scene.parts)
    await turning.turn()
    assert serving(turning) == 1


async def test_a_command_that_fails_ends_with_the_reason(turning: Turning) -> None:
    await turning.turn()
    turning.scene.owner.error = REFUSED
    steps = await turning.rotate()
    assert steps[-1]["ok"] is False
    assert "a swap that goes wrong" in steps[-1]["detail"]


async def test_an_error_of_ours_leaves_nobody_waiting(turning: Turning) -> None:
    await turning.turn()

    def broken() -> None:
        raise ZeroDivisionError

    turning.scene.moody.before = broken
    steps = await turning.rotate()
    assert steps[-1] == {"ok": False, "detail": "internal error, see the log"}
    assert [type(error) for error in turning.errors] == [ZeroDivisionError]
    turning.errors.clear()
    assert not turning.rotating.is_running(CHAT)


async def test_a_first_certificate_waits_by_the_table_for_a_token_that_is_away(tmp_path: Path) -> None:
    token = FakeToken()
    turning = Turning(Rotations(tmp_path, homes={"plexi": token}))
    turning.scene.follow(configuration("ec-p256@plexi"))
    await turning.rotating.follow(turning.scene.parts)
    token.error = HomeFailed("plexi", "no token with label plexi")
    await turning.turn()
    (listed,) = turning.rotating.listing()
    assert listed["last_error"] == 'new key: keys at "plexi": no token with label plexi'
    token.error = None
    await turning.turn()
    assert serving(turning) is None, "not yet"
    turning.scene.time.passes(timedelta(minutes=2))
    await turning.turn()
    assert serving(turning) is not None
    assert turning.errors == []


async def test_rolling_back_serves_the_version_before(turning: Turning) -> None:
    await turning.turn()
    assert isinstance((await turning.rotating.roll_back([CHAT]))[0], NotRenewed)
    await turning.rotate()
    assert isinstance((await turning.rotating.roll_back([CHAT]))[0], Renewed)
    assert serving(turning) == 1


async def test_no_rollback_takes_back_the_mark_of_a_compromised_key(turning: Turning) -> None:
    await turning.turn()
    await turning.rotate()
    turning.scene.moody.failures = [DOWN]
    assert (await turning.rotate(RenewalReason.COMPROMISED))[-1]["ok"] is False
    refused = (await turning.rotating.roll_back([CHAT]))[0]
    assert isinstance(refused, NotRenewed)
    assert "marked as compromised" in refused.detail
    assert "plexigate certs rotate chat --compromised tries it now" in refused.detail
    assert serving(turning) == 2
    turning.scene.time.passes(timedelta(hours=2))
    await turning.turn()
    assert turning.scene.shelf().ledger().retired[2].is_compromised
    assert isinstance((await turning.rotating.roll_back([CHAT]))[0], Renewed), "to the one before, whose key is not"
    assert serving(turning) == 1


async def test_nothing_is_marked_while_it_is_rolled_back(turning: Turning) -> None:
    await turning.turn()
    await turning.rotate()
    rolling = asyncio.get_running_loop().create_task(turning.rotating.roll_back([CHAT]))
    await asyncio.sleep(0)
    assert turning.rotating.is_running(CHAT)
    assert isinstance((await rolling)[0], Renewed)
    assert not turning.rotating.is_running(CHAT)


async def test_a_reload_changes_what_is_looked_after(turning: Turning) -> None:
    await turning.turn()
    turning.scene.follow(configuration("rsa-2048@file"))
    await turning.rotating.follow(turning.scene.parts)
    assert turning.rotating.keys("chat", None) == [("chat", "rsa")]
    await turning.turn()
    assert turning.scene.shelf("rsa").ledger().current == 1


async def test_nobody_waits_for_a_credential_that_a_reload_has_taken_away(turning: Turning) -> None:
    await turning.turn()
    turning.scene.time.passes(5 * DAY)
    turning.scene.moody.failures = [LIMITED]
    await turning.turn()
    steps = turning.rotating.rotate([CHAT], RenewalReason.COMMAND)
    assert (await anext(steps))[1]["step"] == "waiting"
    turning.scene.follow(configuration("rsa-2048@file"))
    await turning.rotating.follow(turning.scene.parts)
    async with asyncio.timeout(5):
        told = [step async for _, step in steps]
    assert told == [{"ok": False, "detail": "the configuration that is served now has no such credential"}]


async def test_a_process_that_starts_again_does_not_begin_the_table_anew(turning: Turning) -> None:
    turning.scene.moody.failures = [DOWN] * 9
    await turning.turn()
    assert len(turning.scene.moody.asked) == 1
    again = Turning(turning.scene)
    await again.rotating.follow(turning.scene.parts)
    await again.turn()
    assert len(turning.scene.moody.asked) == 1


async def test_a_process_that_starts_again_knows_of_a_compromised_key(turning: Turning) -> None:
    await turning.turn()
    turning.scene.moody.failures = [DOWN]
    assert (await turning.rotate(RenewalReason.COMPROMISED))[-1]["ok"] is False
    again = Turning(turning.scene)
    await again.rotating.follow(turning.scene.parts)
    turning.scene.time.passes(timedelta(hours=2))
    await again.turn()
    assert turning.scene.shelf().ledger().retired[1].is_compromised


async def test_a_compromised_key_is_written_down_before_its_issuer_is_asked(turning: Turning) -> None:
    await turning.turn()
    memory, marks = turning.scene.parts.store.directory / "rotation.json", list[object]()
    turning.scene.moody.before = lambda: marks.append(json.loads(memory.read_text())["waits"]["compromised"])
    await turning.rotate(RenewalReason.COMPROMISED)
    assert marks[0] == [["chat", "ec"]]


async def test_keys_that_have_signed_enough_are_rotated(tmp_path: Path) -> None:
    text = configuration().replace("[issuer", "rotate_key_after_uses = 1_000\n[issuer", 1)
    turning = Turning(Rotations(tmp_path, text))
    totals = {"chat": 0}

    async def count() -> dict[str, int]:
        return totals

    turning.rotating.count_by(count)
    await turning.rotating.follow(turning.scene.parts)
    await turning.turn()
    totals["chat"] = 1_000
    await turning.turn()
    turning.scene.time.passes(timedelta(hours=1))
    await turning.turn()
    assert serving(turning) == 2
    assert turning.scene.owner.told("rotation")[-1]["reason"] == "its key reached rotate_key_after_uses"


async def test_the_first_round_waits_for_what_is_missing_or_failed(turning: Turning) -> None:
    turning.scene.moody.failures = [DOWN]
    turning.tasks.start(turning.rotating.run())
    await turning.rotating.first_round(30.0)
    assert turning.rotating.rotations["failed"] == 1
    await turning.tasks.cancel_all()


async def test_days_with_outages_never_serve_what_has_expired(tmp_path: Path) -> None:
    """A short form of what tests/soak does for weeks. That an outage meets a renewal is chance,
    so it is asked of both together."""
    failures = 0
    for seed in (1, 2):
        (tmp_path / f"{seed}").mkdir()
        simulation = Simulation(tmp_path / f"{seed}", random.Random(seed), timedelta(hours=24))  # noqa: S311 - the same each time
        await simulation.run(timedelta(days=2))
        assert simulation.faults == []
        assert simulation.renewals >= 3
        failures += simulation.failures
    assert failures >= 1


async def test_an_issuer_with_limits_is_written_down_before_it_is_asked(turning: Turning) -> None:
    """A process that crashes again and again must not ask it each time; an internal CA is `tests/integration/test_half_written.py`."""
    memory, waits = turning.scene.parts.store.directory / "rotation.json", list[Any]()
    turning.scene.moody.before = lambda: waits.extend(json.loads(memory.read_text())["waits"]["issuers"])
    await turning.turn()
    assert [wait[:2] for wait in waits] == [["internal", 1]]
