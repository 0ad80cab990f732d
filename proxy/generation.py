"""From a configuration to everything that runs by it: the composition root.

A `Generation` is immutable. It is built completely, or not at all with every problem named; a worker then serves by it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from certs.identities import load_credentials
from config.loaded import LoadedConfig
from config.problems import ConfigError, Problem
from proxy.building.foundation import Foundation
from proxy.building.listeners import listener_runtimes
from proxy.building.requests import RoutePlan, http_limits, route_plan
from proxy.building.upstreams import upstream_plans
from proxy.downstream.admission import RouteTarget
from proxy.downstream.service import HttpLimits, HttpRuntime
from proxy.http.routing import Route, RouteTable
from proxy.listener import ListenerRuntime
from proxy.tls.capabilities import Capabilities
from proxy.tls.tickets import TicketSecrets
from proxy.upstream.plan import UpstreamPlan
from proxy.upstream.pool import PoolResources


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything built from one configuration."""

    loaded: LoadedConfig
    listeners: Mapping[str, ListenerRuntime]
    upstreams: tuple[UpstreamPlan, ...]
    routes: tuple[RoutePlan, ...]
    limits: HttpLimits
    identity_algorithms: Mapping[str, tuple[str, ...]]
    """Identity -> what its keys sign with, for the start-up report."""
    tickets: TicketSecrets
    warnings: tuple[Problem, ...]

    def http(self, resources: PoolResources) -> HttpRuntime:
        """Set up the pools and routes of a loop."""
        upstreams = {plan.name: plan.upstream(resources) for plan in self.upstreams}
        routes = RouteTable(
            Route(
                plan.host,
                plan.path,
                RouteTarget(f"{plan.host}{plan.path}", upstreams[plan.upstream], plan.requires_pq, plan.body_bytes),
            )
            for plan in self.routes
        )
        return HttpRuntime(routes, self.limits, self.loaded.config.log.query)


def build(loaded: LoadedConfig, capabilities: Capabilities, tickets: TicketSecrets, now: datetime) -> Generation:
    """Build a generation. Raises `ConfigError` with every problem that stands against it."""
    foundation = Foundation.of(loaded)
    foundation.problems.extend(_provider_problems(loaded, capabilities))
    credentials = load_credentials(loaded, now)
    foundation.problems.extend(credentials.problems)
    listeners = listener_runtimes(foundation, credentials.identities, capabilities, tickets)
    upstreams = tuple(upstream_plans(foundation, credentials.upstreams))
    if any(problem.is_error for problem in foundation.problems):
        raise ConfigError(foundation.problems)
    limits = loaded.config.limits
    return Generation(
        loaded=loaded,
        listeners=listeners,
        upstreams=upstreams,
        routes=tuple(route_plan(route, limits) for route in loaded.config.route),
        limits=http_limits(limits),
        identity_algorithms={
            name: tuple(str(one.algorithm) for one in of_identity)
            for name, of_identity in credentials.identities.items()
        },
        tickets=tickets,
        warnings=tuple(foundation.problems),
    )


def _provider_problems(loaded: LoadedConfig, capabilities: Capabilities) -> Iterator[Problem]:
    for index, name in enumerate(loaded.config.openssl.providers):
        if name in capabilities.missing_providers:
            yield loaded.error(
                ("openssl", "providers", index),
                f'"{name}", which OpenSSL cannot load',
                "a provider whose module is in OpenSSL's module directory, or set openssl.module_path to where it is",
            )


def provider_module_path(loaded: LoadedConfig) -> Path | None:
    """Where the modules of the configured providers are, None for OpenSSL's own directory."""
    path = loaded.config.openssl.module_path
    return None if path is None else loaded.resolve(path)
