"""What issuers are asked beside new certificates."""

from datetime import timedelta

from certs.issuing.issuer import RenewalWindow
from certs.rotation.due import RenewalReason
from tests.parts import part
from tests.proxy.rotation.turning import DOWN, Turning, serving


async def test_a_compromised_key_goes_at_once_and_is_revoked_until_it_is(turning: Turning) -> None:
    await turning.turn()
    turning.scene.moody.revocation = DOWN
    await turning.rotate(RenewalReason.COMPROMISED)
    retired = turning.scene.shelf().ledger().retired[1]
    assert retired.is_compromised
    version = turning.scene.shelf().version(1)
    assert version is not None
    assert not version.has_key
    await turning.turn()
    assert turning.scene.owner.told("revocation_failed")
    turning.scene.moody.revocation = None
    turning.scene.time.passes(timedelta(minutes=11))
    await turning.turn()
    assert turning.scene.shelf().unrevoked() == []
    assert len(turning.scene.moody.revoked) == 1


async def test_the_window_of_an_issuer_is_obeyed(turning: Turning) -> None:
    await turning.turn()
    now = turning.scene.time.now
    turning.scene.moody.window = RenewalWindow(now + timedelta(hours=1), now + timedelta(hours=2))
    await turning.turn()
    assert turning.scene.moody.windows_asked == 1
    await turning.turn()
    (listed,) = turning.rotating.listing()
    assert part(listed["next"])["reason"] == "the issuer asks to renew it (ARI)"
    turning.scene.time.passes(timedelta(hours=2))
    await turning.turn()
    assert serving(turning) == 2
