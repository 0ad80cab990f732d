"""Drains servers of upstreams and uses them again, for the admin server."""

from proxy.admin.contracts import UnknownServer
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.servers import Servers


class ServerControl:
    """Drains servers that the configuration has."""

    def __init__(self, served: ServedEdition, servers: Servers) -> None:
        """`served` names the servers."""
        self._served = served
        self._servers = servers

    async def drain(self, upstream: str, server: str, seconds: float | None) -> str | None:
        """See `admin.contracts.Control.drain_server`. Raises `UnknownServer`."""
        self._require(upstream, server)
        config = self._served.edition.loaded.config
        limit = config.limits.drain_seconds if seconds is None else seconds
        others = [address for one in config.all_upstreams[upstream].servers if (address := str(one.address)) != server]
        return await self._servers.drain(upstream, server, limit, others)

    async def undrain(self, upstream: str, server: str) -> None:
        """Send requests to a server again. Raises `UnknownServer`."""
        self._require(upstream, server)
        await self._servers.undrain(upstream, server)

    def _require(self, upstream: str, server: str) -> None:
        known = [f"{name}/{address}" for name, address in self._served.edition.servers]
        if f"{upstream}/{server}" not in known:
            raise UnknownServer(upstream, server, known)
