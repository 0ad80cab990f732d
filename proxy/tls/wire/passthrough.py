"""Which server names are passed on to a server without opening their TLS. Pure."""

from collections.abc import Collection, Mapping
from typing import Final

from config.values.addresses import wildcard_of


class PassthroughTable:
    """The names of one listener."""

    def __init__(self, upstreams: Mapping[str, str], opened: Collection[str]) -> None:
        """`upstreams` has the upstream of each name; `opened` are the names of the identities."""
        self._upstreams: Final = dict(upstreams)
        self._opened: Final = frozenset(opened)

    def upstream_for(self, server_name: str | None) -> str | None:
        """The upstream that gets a connection with this name; None to open its TLS.

        As for identities, an exact name wins over a wildcard of one label (RFC 6125 section 6.4.3).
        A connection without a name is opened.
        """
        if server_name is None:
            return None
        exact = self._upstreams.get(server_name)
        if exact is not None or server_name in self._opened:
            return exact
        return self._upstreams.get(wildcard_of(server_name))
