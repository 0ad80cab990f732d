"""The exchange with a fleet; `test_certificates` in the room of kinds tries it with several nodes."""

from tests.proxy.rotation.turning import CHAT, Turning


async def test_a_node_without_a_fleet_shares_nothing(turning: Turning) -> None:
    fleet = turning.rotating.fleet
    assert not fleet.is_shared(CHAT)
    assert not fleet.has_news()
    fleet.share(turning.scene.parts, turning.scene.shelf(), turning.scene.serve())
    version = turning.scene.shelf().current()
    assert version is not None
    assert version.intent.edition == 0


async def test_news_are_told_once_and_wake_the_rotation(turning: Turning) -> None:
    fleet = turning.rotating.fleet
    fleet.heard()
    assert fleet.news.is_set()
    assert (fleet.has_news(), fleet.has_news()) == (True, False)
