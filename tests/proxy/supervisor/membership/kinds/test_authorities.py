"""Internal CAs between nodes: `test_certificates` tries them with rotations; here is what goes wrong."""

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.internal_ca.copying import stamp
from proxy.supervisor.membership.kinds.rows import AuthorityRow
from tests.proxy.supervisor.membership.kinds.certified import Certified
from tests.proxy.supervisor.membership.nodes import World
from tests.waiting import until_seen


async def settled(node: Certified) -> None:
    """Wait until the store has the CA as the node does, so that nothing is written any more."""
    authority = node.parts.issuers["internal"]
    assert isinstance(authority, InternalAuthority)
    shared = node.certificates._authorities
    await until_seen(
        lambda: (
            shared._stamps.get("internal") == stamp(authority)
            and shared._entries.values.get("internal") == shared._synced["internal"]
        )
    )


async def test_an_internal_ca_that_cannot_be_exchanged_is_told_once(world: World) -> None:
    node = Certified(world, "one")
    async with node.running():
        await node.serves()
        await settled(node)
        await node.tasks.cancel_all()  # it asks by itself, too
        authorities = node.certificates._authorities
        authorities._entries.values["internal"] = AuthorityRow({"root": 7}, 1)
        for _ in range(2):
            assert not await node.certificates.share_authorities(node.parts)
    (event,) = node.scene.owner.told("authority_not_shared")
    assert event["detail"] == "the store has what this Plexigate cannot read"


async def test_after_an_expulsion_the_intermediate_is_replaced(world: World) -> None:
    node = Certified(world, "one")
    async with node.running():
        await node.serves()
        entries = node.certificates._authorities._entries
        await settled(node)
        while not entries.values["internal"].distrusted_until:  # what the node exchanges by itself may come between
            before = AuthorityRow(entries.values["internal"].copy, 0)  # as in the epoch after
            entries.values["internal"] = node.certificates._authorities._synced["internal"] = before
            assert (await node.rotate())[-1]["ok"]
        assert (await node.rotate())[-1]["ok"]
        await until_seen(lambda: len(entries.values["internal"].copy["intermediate"]["versions"]) > 1)
