"""What can be settled about one `[upstream.NAME]` without a loop, and the step to its pools."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.schema import HttpProtocol
from proxy.upstream.http1.linked_pool import LinkedPool
from proxy.upstream.http1.pool import Pool
from proxy.upstream.http2.pool import StreamPool
from proxy.upstream.pooling.dial import DialSettings
from proxy.upstream.pooling.pools import PoolResources, PoolSettings, ResponseLimits, ServerLimits
from proxy.upstream.servers.server import Server, ServerConnections, ServerRules
from proxy.upstream.servers.upstream import Upstream, UpstreamRules
from proxy.upstream.tcp_dials import TcpDials


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """How to reach the servers of an upstream, what they may take, and how one is chosen."""

    name: str
    dialling: tuple[DialSettings, ...]
    standing: tuple[ServerRules, ...]
    """For each of `dialling`."""
    responses: ResponseLimits
    limits: ServerLimits
    rules: UpstreamRules


def upstreams_from(
    plans: Sequence[UpstreamPlan], resources: PoolResources, previous: Mapping[str, Upstream]
) -> dict[str, Upstream]:
    """Set up the upstreams of a loop.

    They replace its `previous` ones, which choose no servers from then on.

    A server keeps its connections, its state and its figures if the proxy reaches it in the same
    way and its limits stay. The connections of all others end: idle ones now, those in flight when
    their work is done. This never fails: it runs when the new configuration replaces the old one.
    """
    made = {plan.name: _upstream(plan, resources, previous.get(plan.name)) for plan in plans}
    kept = {server for upstream in made.values() for server in upstream.servers}
    for upstream in previous.values():
        for server in upstream.servers:
            if server not in kept:
                server.retire()
    return made


def _upstream(plan: UpstreamPlan, resources: PoolResources, previous: Upstream | None) -> Upstream:
    known = {} if previous is None else {server.name: server for server in previous.servers}
    servers = []
    for dialling, rules in zip(plan.dialling, plan.standing, strict=True):
        before = known.get(str(dialling.address))
        settings = PoolSettings(dialling, plan.responses, plan.limits)
        if before is not None and before.connections.settings == settings:
            server = before
            server.follow(rules)
        else:
            server = Server(_connections(settings, resources), rules, resources.io.loop)
            if before is not None:
                server.succeed(before)
            elif previous is not None:
                server.begin_slowly()  # beside others that are warm
        if plan.rules.recovery_seconds is None:
            server.check_told(is_up=True)  # there are no checks any more
        servers.append(server)
    return Upstream(plan.name, servers, plan.rules, resources.io.loop.time)


def _connections(settings: PoolSettings, resources: PoolResources) -> ServerConnections:
    dialling = settings.dialling
    if dialling.http is None:
        return TcpDials(settings, resources)
    if dialling.http is HttpProtocol.HTTP_2:
        return StreamPool(settings, resources)
    if dialling.proxy_header is not None:
        return LinkedPool(settings, resources, dialling.proxy_header)
    return Pool(settings, resources)
