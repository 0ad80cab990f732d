"""What an operator asks about rings, and how refusals are put."""

import asyncio
import base64
from dataclasses import dataclass
from typing import Any

import pytest

from proxy.admin.requests.problems import CommandRefused
from proxy.api.commands import ExportDocument, RingsDocument, RingTrialsDocument
from proxy.payload.key_document import PinnedIdentity
from proxy.payload.keys.payload_keys import PayloadKeys
from proxy.supervisor.control.payload_control import SupervisorPayload
from proxy.supervisor.reloads.payload_rotation import PayloadRotation
from tests.configurations import Site
from tests.fakes_payload import FakeParent, sealed_edition
from tests.parts import differences
from tests.workforces import NOW


@dataclass
class Case:
    parent: FakeParent
    rotation: PayloadRotation
    control: SupervisorPayload


@pytest.fixture
async def case(site: Site) -> Case:
    parent = FakeParent(sealed_edition(site, "control"))
    rotation = parent.rotation(lambda: NOW.timestamp())
    control = SupervisorPayload(asyncio.get_running_loop(), parent.served, rotation, parent.tell)
    return Case(parent, rotation, control)


async def test_list_counts_as_of_now_and_shows_no_secret(case: Case) -> None:
    case.parent.workers.uses = [("chat", case.parent.edition.payload.rings["chat"].active.version, 4)]
    listed: Any = await case.control.listed()
    assert list(differences(listed, RingsDocument)) == []
    assert [ring["name"] for ring in listed["rings"]] == ["chat", ":tickets", ":kem:MLKEM768-X25519"]
    assert listed["rings"][0]["keys"][0]["uses"] == 8
    assert case.parent.edition.payload.rings["chat"].active.secret.hex() not in str(listed)
    case.parent.edition = case.parent.edition.with_payload(9, PayloadKeys())
    assert await case.control.listed() == {"rings": []}


async def test_export_is_what_clients_need_and_is_told(case: Case) -> None:
    version = (await case.control.rotate("chat"))["version"]
    exported = await case.control.exported("chat")
    assert list(differences(exported, ExportDocument)) == []
    assert (exported["ring"], exported["bind"], exported["envelope"], exported["max_age_seconds"]) == (
        "chat", False, "none", 60.0,
    )  # fmt: skip
    assert [key["version"] for key in exported["keys"]] == [version, version - 1]
    assert len(base64.urlsafe_b64decode(exported["keys"][0]["key"])) == 32
    assert {"event": "payload_ring_exported", "ring": "chat"} in case.parent.told
    for ring in ("other", ":tickets"):
        with pytest.raises(CommandRefused, match="clients get; there is chat") as caught:
            await case.control.exported(ring)
        assert caught.value.status == 404


async def test_each_key_is_tried_and_no_use_is_counted(case: Case) -> None:
    before = case.parent.edition.payload
    tested = await case.control.tested()
    assert list(differences(tested, RingTrialsDocument)) == []
    keys = tested["keys"]
    assert {one["ring"] for one in keys} == {"chat", ":tickets", ":kem:MLKEM768-X25519"}
    assert {one["fault"] for one in keys} == {None}
    assert case.parent.edition.payload == before


async def test_identity_is_that_of_the_document(case: Case) -> None:
    pinned = PinnedIdentity.from_json(await case.control.identity())
    keys = case.parent.edition.payload
    assert pinned.verified(keys.document, NOW.timestamp())
    replaced = await case.control.replace_identity()
    assert replaced == await case.control.identity() != pinned.as_json()
    case.parent.edition = case.parent.edition.with_payload(9, PayloadKeys())
    with pytest.raises(CommandRefused, match=r"no \[payload.sessions\]"):
        await case.control.identity()
    with pytest.raises(CommandRefused, match=r"no \[payload.sessions\]"):
        await case.control.replace_identity()


async def test_refusals_have_a_status(case: Case) -> None:
    active = case.parent.edition.payload.rings["chat"].active.version
    with pytest.raises(CommandRefused) as missing:
        await case.control.rotate("other")
    with pytest.raises(CommandRefused) as active_one:
        await case.control.retire("chat", active)
    assert (missing.value.status, active_one.value.status) == (404, 409)
    await case.control.revoke("chat", active)
    assert case.rotation.ring("chat").active.version == active + 1
