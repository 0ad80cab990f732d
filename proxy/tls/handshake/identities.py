"""Which identity answers for a server name. Pure."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from config.values.addresses import is_covered, wildcard_of

if TYPE_CHECKING:
    from proxy.tls.openssl.client_trust import ClientTrust
    from proxy.tls.openssl.context import ServerContext
    from proxy.tls.tokens.signing_plan import SigningPlan


class ServerIdentity:
    """One `[identity.NAME]` on one listener: its names, and the context that proves it.

    If its key is in a token, there is a `plan` for the key. The `context` then has a throw-away
    certificate that no client may ever see: it only resumes sessions and asks for other key shares.
    """

    # no dataclass: compiled, it would load the types of its fields, which are for checking only
    def __init__(
        self,
        name: str,
        names: frozenset[str],
        context: "ServerContext",
        plan: "SigningPlan | None" = None,
        clients: "ClientTrust | None" = None,
        reserved: frozenset[str] = frozenset(),
    ) -> None:
        self.name: Final = name
        self.names: Final = names
        self.context: Final = context
        self.plan: Final = plan
        self.clients: Final = clients
        """Whose certificates its clients show; None if they are not asked for one."""
        self.fast: ServerIdentity | None = None
        """The same without groups that are too slow for an event loop; None if it has none of
        these, or no others."""
        self.reserved: Final = reserved
        """Names that no wildcard here covers: those of identities that ask for certificates of
        clients, and those whose TLS the listener passes through."""

    def covers(self, host: str) -> bool:
        """Whether `host` (lower case, no port) is a name of it; a wildcard is one label."""
        return host in self.names or (is_covered(host, self.names) and host not in self.reserved)


class IdentityTable:
    def __init__(
        self,
        identities: Iterable[ServerIdentity],
        default: ServerIdentity | None,
        served: frozenset[str] | None = None,
    ) -> None:
        """`default` answers for unknown and missing names; None refuses them.

        `served` are the only names that the listener has something for; None: all.
        """
        self._served = served
        self._by_name: Mapping[str, ServerIdentity] = {name: one for one in identities for name in one.names}
        self._default = default

    def resolve(self, server_name: str | None) -> ServerIdentity | None:
        """Find the identity: exact name, then wildcard of one label (RFC 6125 section 6.4.3), then
        the default, else None.
        """
        if self._served is not None and (server_name is None or not is_covered(server_name, self._served)):
            return None
        if server_name is not None:
            exact = self._by_name.get(server_name)
            if exact is not None:
                return exact
            wildcard = self._by_name.get(wildcard_of(server_name))
            if wildcard is not None:
                return wildcard
        return self._default
