"""Everything about one `[upstream.NAME]` that can be settled before there is a loop."""

from dataclasses import dataclass

from proxy.upstream.connection import ResponseLimits
from proxy.upstream.dial import DialSettings
from proxy.upstream.pool import PoolResources, Server, ServerLimits, Upstream


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """How to reach the servers of an upstream, and what they may take."""

    name: str
    dialling: tuple[DialSettings, ...]
    responses: ResponseLimits
    limits: ServerLimits

    def upstream(self, resources: PoolResources) -> Upstream:
        """Set up the pools of a loop."""
        servers = [Server(dialling, self.responses, self.limits, resources) for dialling in self.dialling]
        return Upstream(self.name, servers)
