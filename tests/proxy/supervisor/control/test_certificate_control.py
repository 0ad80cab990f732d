"""What the admin server asks about certificates."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from certs.issuing.issuer import FailureKind, IssueFailed
from proxy.admin.requests.problems import CommandRefused
from proxy.admin.requests.wishes import RotationWish
from proxy.api.certificates import RollbackRow, RotationLine
from proxy.net.tasks import Tasks
from proxy.rotation.memory.kept import kept
from proxy.rotation.rotating import Rotating
from proxy.supervisor.control.certificate_control import RotationControl
from tests.parts import differences, part
from tests.rotations import REFUSED, Rotations, configuration


class Looking:
    """An inspection that has looked already."""

    async def of(self, identity: str) -> list[Any] | None:
        """Rows for chat."""
        return [{"worker": 0}] if identity == "chat" else None


@pytest.fixture
def scene(tmp_path: Path) -> Rotations:
    return Rotations(tmp_path, configuration("ec-p256@file", "mldsa-65@sealed"))


@pytest.fixture
async def control(scene: Rotations) -> AsyncIterator[RotationControl]:
    loop, errors = asyncio.get_running_loop(), list[BaseException]()
    tasks = Tasks(loop, errors.append)
    rotating = Rotating(loop, tasks, scene.owner.swap_issued, scene.owner.tell, scene.time.clocks)
    await rotating.follow(scene.parts)
    tasks.start(rotating.run())
    await rotating.first_round(30.0)
    yield RotationControl(rotating, Looking())
    await tasks.cancel_all()
    assert errors == []


async def steps_of(control: RotationControl, slot: str | None = None, **flags: bool) -> list[Any]:
    steps = [step async for step in control.rotate_certificate("chat", slot, RotationWish(**flags))]
    assert list(differences(steps, list[RotationLine])) == []
    return steps


async def test_all_credentials_of_an_identity_rotate_one_after_the_other(
    control: RotationControl, scene: Rotations
) -> None:
    steps = await steps_of(control)
    assert [step["credential"] for step in steps if step.get("rotated")] == ["ec", "mldsa-65"]
    assert steps[-1] == {"ok": True}
    assert [one["version"] for one in control.certificates()] == [2, 2]
    assert scene.shelf("mldsa-65").ledger().current == 2


async def test_a_dry_run_changes_nothing(control: RotationControl) -> None:
    (would, last) = await steps_of(control, "ec", is_dry_run=True)
    assert would["would"][0] == "new key"
    assert last == {"ok": True}
    assert [one["version"] for one in control.certificates()] == [1, 1]


async def test_one_that_fails_makes_the_whole_fail(control: RotationControl, scene: Rotations) -> None:
    scene.owner.error = REFUSED
    steps = await steps_of(control, "ec")
    assert (steps[-2]["rotated"], steps[-1]) == (False, {"ok": False})


async def test_a_compromised_key_is_told_as_such(control: RotationControl, scene: Rotations) -> None:
    steps = await steps_of(control, "ec", is_compromised=True)
    assert steps[0]["reason"] == "its key is compromised"
    assert scene.shelf().ledger().retired[1].is_compromised


async def test_all_keys_are_marked_as_compromised_before_the_first_is_replaced(
    control: RotationControl, scene: Rotations
) -> None:
    """Whoever asked may leave, and the first one may take its time."""
    scene.moody.failures = [IssueFailed(FailureKind.TEMPORARY, "the CA is down")] * 2
    steps = control.rotate_certificate("chat", None, RotationWish(is_compromised=True))
    await anext(steps)
    marked = kept(scene.parts.store)["waits"]["compromised"]
    assert sorted(marked) == [["chat", "ec"], ["chat", "mldsa-65"]]


async def test_a_credential_that_waits_holds_no_other_one_of_its_identity(
    control: RotationControl, scene: Rotations
) -> None:
    scene.moody.failures = [IssueFailed(FailureKind.PERMANENT, "come again later", 7_200.0)]
    await steps_of(control, "ec")
    told: list[Any] = []
    async for step in control.rotate_certificate("chat", None, RotationWish()):
        told.append(step)
        if step.get("step") == "waiting":
            break
    assert [step["credential"] for step in told if step.get("rotated")] == ["mldsa-65"]
    assert told[-1]["credential"] == "ec"


async def test_all_credentials_of_an_identity_go_back_or_none(control: RotationControl, scene: Rotations) -> None:
    await steps_of(control, "ec")
    swaps = len(scene.owner.swaps)
    refused = await control.roll_back_certificate("chat", None)
    assert list(differences(refused, list[RollbackRow])) == []
    (first, second) = refused
    assert (first["ok"], second["ok"]) == (False, False)
    assert "because mldsa-65 cannot go back" in first["detail"]
    assert "--credential ec rolls this one back alone" in first["detail"]
    assert "there is no previous version" in second["detail"]
    assert scene.shelf().ledger().current == 2
    assert len(scene.owner.swaps) == swaps
    await steps_of(control, "mldsa-65")
    (first, second) = await control.roll_back_certificate("chat", None)
    assert (first["version"], second["version"]) == (1, 1)
    assert [scene.shelf(slot).ledger().current for slot in ("ec", "mldsa-65")] == [1, 1]
    assert len(scene.owner.swaps) == swaps + 2, "one swap for both"


async def test_unknown_names_are_refused_before_anything_is_done(control: RotationControl) -> None:
    with pytest.raises(CommandRefused, match="no identity nobody rotates automatically; there are chat"):
        await anext(control.rotate_certificate("nobody", None, RotationWish()))
    with pytest.raises(CommandRefused, match="chat with a credential rsa"):
        await control.roll_back_certificate("chat", "rsa")
    with pytest.raises(CommandRefused, match="no identity nobody rotates automatically; there are chat") as caught:
        await control.shown("nobody")
    assert caught.value.status == 404
    assert await control.shown("chat") == {"shown": [part({"worker": 0})]}


async def test_a_rotation_under_way_is_not_joined_by_another(control: RotationControl) -> None:
    steps = control.rotate_certificate("chat", "ec", RotationWish())
    while (await anext(steps)).get("step") != "new key":
        pass
    with pytest.raises(CommandRefused, match="the ec credential of chat is being rotated now; ask again") as caught:
        await control.roll_back_certificate("chat", "ec")
    assert caught.value.status == 409
    assert [step async for step in steps][-1] == {"ok": True}
