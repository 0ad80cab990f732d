"""One rotation with the proxy around it: its steps, its failures, and what they leave."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from certs.issuing.issuer import FailureKind, IssueFailed
from certs.keys.home import HomeFailed
from certs.rotation.attempt import RotationStep
from certs.rotation.due import RenewalReason
from certs.rotation.facts import leaf_of
from proxy.rotation.running import NotRenewed, Renewed, Run, leaf_facts
from tests.certs.fake_token import FakeToken
from tests.rotations import REFUSED, Rotations, configuration


@pytest.fixture
def token() -> FakeToken:
    return FakeToken()


@pytest.fixture
def scene(tmp_path: Path, token: FakeToken) -> Rotations:
    made = Rotations(tmp_path, homes={"plexi": token})
    made.follow(configuration("ec-p256@plexi", rotation='issue_timeout = "1s"'))
    return made


async def run(
    scene: Rotations, reason: RenewalReason = RenewalReason.COMMAND, failures: int = 0
) -> tuple[Renewed | NotRenewed, list[Any]]:
    """Rotate; answers the outcome and what was told."""
    steps: list[Any] = []
    one = Run(
        asyncio.get_running_loop(), scene.task(reason), scene.parts, scene.owner.swap_issued, lambda: scene.time.now
    )
    return await one.run(steps.append, failures), steps


async def failed(scene: Rotations, failures: int = 0) -> NotRenewed:
    outcome, _ = await run(scene, failures=failures)
    assert isinstance(outcome, NotRenewed)
    return outcome


async def test_all_steps_are_told_in_their_order(scene: Rotations) -> None:
    outcome, steps = await run(scene)
    assert isinstance(outcome, Renewed)
    assert [step["step"] for step in steps] == ["new key", "certificate", "checks", "stored", "swapped in"]
    assert steps[-1]["serial"] == leaf_facts(outcome.leaf)["serial"]
    assert len(scene.owner.swaps) == 1
    assert scene.serial == outcome.leaf.serial_number


async def test_an_issuer_that_fails_is_to_blame_and_nothing_is_left(scene: Rotations, token: FakeToken) -> None:
    scene.serve()
    scene.moody.failures = [IssueFailed(FailureKind.RATE_LIMITED, "too often", 60.0)]
    outcome = await failed(scene)
    assert outcome == NotRenewed(
        RotationStep.ISSUE, FailureKind.RATE_LIMITED, "too often", of_issuer=True, retry_after=60.0
    )
    assert list(token.keys) == ["chat.ecdsa-p256.v1"]
    assert scene.owner.swaps == []


async def test_an_issuer_that_hangs_is_given_up(scene: Rotations, token: FakeToken) -> None:
    over = threading.Event()
    scene.moody.before = lambda: over.wait(30)
    outcome = await failed(scene)
    over.set()
    late = [thread for thread in threading.enumerate() if thread.name == "work"]
    for thread in late:
        await asyncio.to_thread(thread.join)  # it has nobody left to tell
    assert (outcome.step, outcome.kind, outcome.of_issuer) == (RotationStep.ISSUE, FailureKind.TEMPORARY, True)
    assert outcome.detail == "it took longer than 1 s"
    assert token.keys == {}


async def test_a_token_that_is_gone_is_not_the_issuers_fault(scene: Rotations, token: FakeToken) -> None:
    token.error = HomeFailed("plexi", "the token is gone")
    outcome = await failed(scene)
    assert (outcome.step, outcome.of_issuer) == (RotationStep.KEY, False)
    assert scene.moody.asked == []
    token.error = None
    assert isinstance((await run(scene))[0], Renewed)


async def test_a_chain_that_does_not_fit_is_refused_for_long(scene: Rotations) -> None:
    stored = scene.stored()
    scene.moody.chain = stored.chain_path.read_bytes()
    scene.shelf().drop(stored.number, scene.parts.homes)
    outcome = await failed(scene)
    assert (outcome.step, outcome.kind, outcome.of_issuer) == (RotationStep.CHECK, FailureKind.PERMANENT, False)
    assert "it is for another key" in outcome.detail


class TestSwap:
    async def test_workers_that_cannot_keep_the_version_for_the_next_try(self, scene: Rotations) -> None:
        scene.owner.error = REFUSED
        outcome = await failed(scene)
        assert (outcome.step, outcome.of_issuer) == (RotationStep.SWAP, False)
        scene.owner.error = None
        outcome, steps = await run(scene)  # type: ignore[assignment]
        assert isinstance(outcome, Renewed)
        assert steps[0] == {"step": "stored", "version": 1, "resumed": True}
        assert len(scene.moody.asked) == 1, "the issuer was not asked again"

    async def test_a_version_that_workers_never_take_is_dropped(self, scene: Rotations, token: FakeToken) -> None:
        scene.owner.error = REFUSED
        await failed(scene, failures=2)
        assert token.keys
        await failed(scene, failures=3)
        assert token.keys == {}


class TestCompromised:
    async def test_the_former_certificate_is_revoked(self, scene: Rotations) -> None:
        first = leaf_of(scene.serve())
        outcome, steps = await run(scene, RenewalReason.COMPROMISED)
        assert isinstance(outcome, Renewed)
        assert steps[-1] == {"note": "the previous certificate was revoked"}
        assert scene.moody.revoked == [first.serial_number]
        assert scene.shelf().ledger().retired[1].destroy_at == scene.time.now

    async def test_a_revocation_that_fails_undoes_nothing(self, scene: Rotations) -> None:
        scene.serve()
        scene.moody.revocation = IssueFailed(FailureKind.TEMPORARY, "the CA is down")
        outcome, steps = await run(scene, RenewalReason.COMPROMISED)
        assert isinstance(outcome, Renewed)
        assert steps[-1]["note"].endswith("could not be revoked: the CA is down")
        assert len(scene.shelf().unrevoked()) == 1
