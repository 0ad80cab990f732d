"""A client's connection, as servers know it."""

from config.tables.upstream import ProxyHeaderVersion
from proxy.upstream.pooling.client_link import NO_LINK, ClientLink


class Keeper:
    """A pool, as a link knows it."""

    def __init__(self) -> None:
        self.told: list[ClientLink] = []

    def link_closed(self, link: ClientLink) -> None:
        """Remember."""
        assert not link.keeps_servers
        self.told.append(link)


def test_keepers_are_told_once_that_the_client_has_left() -> None:
    link, first, second = ClientLink(keeps_servers=True), Keeper(), Keeper()
    for keeper in (first, second, first):
        link.kept_by(keeper)
    link.left()
    link.left()
    assert first.told == second.told == [link]


def test_a_link_that_nothing_keeps_may_be_left() -> None:
    link = ClientLink(keeps_servers=True)
    link.left()
    assert not link.keeps_servers


def test_of_an_unknown_client_servers_are_told_nothing() -> None:
    assert not NO_LINK.keeps_servers
    assert NO_LINK.header(ProxyHeaderVersion.TEXT) == b"PROXY UNKNOWN\r\n"
    assert NO_LINK.header(ProxyHeaderVersion.BINARY)[12:14] == b"\x21\x00"
