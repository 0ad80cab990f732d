"""Answers about the fleet: what stands in for them in tests of commands is what their types say."""

from proxy.api.fleet import (
    FleetDocument,
    FleetLeadDocument,
    FleetNodeRow,
    FleetReloadDocument,
    InvitationDocument,
    JoinDocument,
)
from tests.fakes_admin import FakeFleet
from tests.parts import differences


async def test_what_commands_are_tried_with_is_as_the_types_say() -> None:
    fleet = FakeFleet()
    assert list(differences(await fleet.listed(), FleetDocument)) == []
    assert list(differences(await fleet.invite(), InvitationDocument)) == []
    assert list(differences(await fleet.join("a"), JoinDocument)) == []
    assert list(differences(await fleet.approve("edge-2"), FleetNodeRow)) == []
    assert list(differences(await fleet.give_lead(None), FleetLeadDocument)) == []
    assert list(differences(await fleet.reload(), FleetReloadDocument)) == []
