"""What a configuration says about the connections of a listener that are not read as HTTP. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from config.values.addresses import wildcard_of


@dataclass(frozen=True, slots=True)
class RelayRules:
    """Of one listener. Times are seconds of silence."""

    idle_seconds: float
    """As long as both directions are open."""
    half_closed_seconds: float
    """After one side has ended its direction."""
    upstream: str | None = None
    """For all names that `by_name` does not have."""
    by_name: Mapping[str, str] = field(default_factory=dict)

    def upstream_for(self, server_name: str | None) -> str | None:
        """The upstream of a name: the exact one, then that of its wildcard, then that of all."""
        if server_name is not None:
            exact = self.by_name.get(server_name)
            if exact is not None:
                return exact
            wildcard = self.by_name.get(wildcard_of(server_name))
            if wildcard is not None:
                return wildcard
        return self.upstream
