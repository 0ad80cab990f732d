"""What is done beside rotations: undone, destroyed, retired, forgotten, taken up again."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from certs.rotation.attempt import Attempt
from certs.rotation.due import RenewalReason
from proxy.rotation.housekeeping import INTERVAL_SECONDS, Housekeeping, clean_up, recover
from proxy.rotation.running import NotRenewed, Renewed
from proxy.rotation.ways_back import Asked
from tests.certs.authority import DAY
from tests.certs.fake_token import FakeToken
from tests.rotations import REFUSED, Owner, Rotations, configuration


@pytest.fixture
def token() -> FakeToken:
    return FakeToken()


@pytest.fixture
def scene(tmp_path: Path, token: FakeToken) -> Rotations:
    made = Rotations(tmp_path, homes={"plexi": token})
    made.follow(configuration("ec-p256@plexi"))
    return made


def test_what_a_process_left_behind_is_undone(scene: Rotations, token: FakeToken) -> None:
    Attempt(scene.task(), scene.parts.homes, lambda: scene.time.now).make_key()
    (told,) = recover(scene.parts)
    assert told == "a rotation of the ec credential of chat was undone: its process ended in the middle"
    assert token.keys == {}
    assert recover(scene.parts) == []


def test_what_cannot_be_undone_yet_is_told_and_hinders_nothing(scene: Rotations) -> None:
    Attempt(scene.task(), scene.parts.homes, lambda: scene.time.now).make_key()
    scene.homes.clear()
    scene.follow(configuration("rsa-2048@file"))
    (told,) = recover(scene.parts)
    assert "could not be recovered yet" in told


def test_keys_go_with_their_grace_and_versions_when_there_are_too_many(scene: Rotations, token: FakeToken) -> None:
    scene.follow(configuration("ec-p256@plexi", rotation="former = 1"))
    for _ in range(3):
        scene.serve()
    assert clean_up(scene.parts, scene.time.now) == []
    told = clean_up(scene.parts, scene.time.now + DAY)
    assert told == [f"the key of version {number} of the ec credential of chat was destroyed" for number in (1, 2)]
    assert [one.number for one in scene.shelf().versions()] == [3, 2]
    assert list(token.keys) == ["chat.ecdsa-p256.v3"]


def test_a_half_forgotten_version_is_forgotten_by_the_next_start(scene: Rotations) -> None:
    for _ in range(3):
        scene.serve()
    scene.shelf().destroy_keys(scene.time.now + DAY, scene.parts.homes)
    gone = scene.shelf().directory / "v000001"
    gone.rename(gone.with_name("v000001.pending"))
    (gone.with_name("v000001.pending") / "intent.json").unlink()
    recover(scene.parts)
    assert not list(scene.shelf().directory.glob("*.pending"))
    scene.follow(configuration("ec-p256@plexi", rotation="former = 1"))
    clean_up(scene.parts, scene.time.now + DAY)
    assert sorted(scene.shelf().ledger().retired) == [2]


class TestNotWanted:
    """Credentials that the configuration has no place for any more."""

    def test_the_old_kind_serves_until_the_new_one_does_and_then_goes_with_its_grace(
        self, scene: Rotations, token: FakeToken
    ) -> None:
        scene.serve()
        scene.follow(configuration("rsa-2048@file"))
        assert clean_up(scene.parts, scene.time.now) == []
        assert scene.shelf("ec").current() is not None, "it stands in"
        scene.serve()
        (told,) = clean_up(scene.parts, scene.time.now)
        assert "not in the configuration any more" in told
        assert scene.shelf("ec").current() is None
        assert token.keys, "for a change of mind"
        clean_up(scene.parts, scene.time.now + DAY)
        assert token.keys == {}

    def test_an_identity_that_is_gone_leaves_no_key_behind(self, scene: Rotations, token: FakeToken) -> None:
        scene.serve()
        scene.follow(configuration("ec-p256@plexi").replace("identity.chat", "identity.other"))
        clean_up(scene.parts, scene.time.now)
        clean_up(scene.parts, scene.time.now + DAY)
        assert token.keys == {}


class TestRollback:
    async def rolled(self, scene: Rotations) -> Renewed | NotRenewed:
        keeping = Housekeeping(asyncio.get_running_loop(), scene.owner.tell)
        asked = [Asked(scene.shelf(), is_bound_to_go=False)]
        (outcome,) = await keeping.roll_back(scene.parts, asked, scene.owner.swap_issued, scene.time.now)
        return outcome

    async def test_the_version_before_serves_again(self, scene: Rotations) -> None:
        scene.serve()
        scene.serve()
        outcome = await self.rolled(scene)
        assert isinstance(outcome, Renewed)
        assert outcome.version == scene.shelf().ledger().current == 1
        assert scene.shelf().ledger().retired[2].why == "rolled back"
        assert len(scene.owner.swaps) == 1

    async def test_without_one_everything_stays(self, scene: Rotations) -> None:
        scene.serve()
        outcome = await self.rolled(scene)
        assert isinstance(outcome, NotRenewed)
        assert "there is no previous version" in outcome.detail
        assert scene.owner.swaps == []

    async def test_to_a_compromised_key_nothing_goes_back(self, scene: Rotations) -> None:
        scene.serve()
        scene.serve(RenewalReason.COMPROMISED)
        outcome = await self.rolled(scene)
        assert isinstance(outcome, NotRenewed)
        assert "the key of a previous version is compromised" in outcome.detail
        assert "plexigate certs rotate chat" in outcome.detail
        assert scene.shelf().ledger().current == 2

    async def test_workers_that_cannot_leave_everything_as_it_is(self, scene: Rotations) -> None:
        scene.serve()
        scene.serve()
        scene.owner.error = REFUSED
        outcome = await self.rolled(scene)
        assert isinstance(outcome, NotRenewed)
        assert scene.shelf().ledger().current == 2


async def test_it_is_done_now_and_then(scene: Rotations) -> None:
    owner = Owner()
    keeping = Housekeeping(asyncio.get_running_loop(), owner.tell)
    scene.serve()
    scene.serve()
    late = scene.time.now + DAY
    await keeping.look_after(scene.parts, scene.time.now, 0.0)
    await keeping.look_after(scene.parts, late, INTERVAL_SECONDS - 1)
    assert owner.events == []
    await keeping.look_after(scene.parts, late, INTERVAL_SECONDS - 1, at_once=True)
    assert len(owner.told("keys")) == 1
    scene.serve()
    await keeping.look_after(scene.parts, late + timedelta(days=2), 2 * INTERVAL_SECONDS)
    assert len(owner.told("keys")) == 2
