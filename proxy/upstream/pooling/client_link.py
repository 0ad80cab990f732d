"""The connection of a client, as servers know it that want a PROXY header.

A connection to such a server belongs to one connection of one client, because the header is said
once and is about all that follows. It serves further requests of that connection, and ends with it.
"""

from typing import Final, Protocol

from config.tables.upstream import ProxyHeaderVersion
from proxy.proxy_protocol.writing import DescribedConnection, proxy_header


class LinkKeeper(Protocol):
    """A pool that keeps connections for a link."""

    def link_closed(self, link: "ClientLink") -> None:
        """The client is gone: what is kept for it closes."""


class ClientLink:
    """One of them. A class and no protocol, so that its heirs cost a request nothing."""

    def __init__(self, *, keeps_servers: bool) -> None:
        self.keeps_servers = keeps_servers
        """Whether another request may follow on it."""
        self._keepers: list[LinkKeeper] | None = None

    def described(self) -> DescribedConnection:
        """What PROXY headers tell servers about it. Here: nothing is known."""
        return DescribedConnection(None)

    def header(self, version: ProxyHeaderVersion) -> bytes:
        """The header of a connection to a server for this client."""
        return proxy_header(version, self.described())

    def kept_by(self, keeper: LinkKeeper) -> None:
        if self._keepers is None:
            self._keepers = []
        if keeper not in self._keepers:
            self._keepers.append(keeper)

    def left(self) -> None:
        self.keeps_servers = False
        if self._keepers is not None:
            keepers, self._keepers = self._keepers, None
            for keeper in keepers:
                keeper.link_closed(self)


NO_LINK: Final = ClientLink(keeps_servers=False)
"""Of a request whose client is not known."""
