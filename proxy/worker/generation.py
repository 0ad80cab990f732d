"""The composition root: builds everything that a worker serves by from a configuration.

A `Generation` is immutable. It makes the `HttpRuntime`, which has the state that changes while a
worker serves. `build` makes a complete generation, or raises an error that names every problem.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from certs.identities.identities import load_credentials
from config.loading.loaded import LoadedConfig
from config.tables.operations.log import LogField
from config.values.problems import ConfigError, Problem
from proxy.building.carried import Carried
from proxy.building.clients import client_trusts
from proxy.building.foundation import Foundation
from proxy.building.listeners import listener_runtimes, relay_rules
from proxy.building.providers import provider_problems
from proxy.building.public_trust import publicly_trusted
from proxy.building.request_limits import http_limits, plain_rules
from proxy.building.resources import note_descriptor_shortage
from proxy.building.routes.auth import auth_rules
from proxy.building.routes.error_pages import error_pages
from proxy.building.routes.payload import PayloadRules, throwaway_keys
from proxy.building.routes.replies import route_endpoints
from proxy.building.routes.routes import RouteParts, route_table
from proxy.building.tokens.credentials import note_session_shortage, usable_credentials
from proxy.building.tokens.signing import token_plans
from proxy.building.unusable_tokens import NONE_UNUSABLE, UnusableTokens
from proxy.building.upstreams import upstream_plans
from proxy.downstream.listeners.listening import ListenerRuntime
from proxy.downstream.listeners.plain_answers import PlainRules
from proxy.downstream.requests.targets import RouteTarget
from proxy.downstream.service.runtime import HttpLimits, HttpRuntime
from proxy.http.routing import RouteTable
from proxy.limits.machine import most_descriptors
from proxy.payload.keys.payload_keys import PayloadKeys
from proxy.payload.keys.suite_table import suite_problems
from proxy.payload.messages.uses import PayloadUses
from proxy.routes.error_pages import ErrorPages
from proxy.signing.login_turns import LoginTurns
from proxy.signing.tokens import TokenPlan
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.upstream.plan import UpstreamPlan, upstreams_from
from proxy.upstream.pooling.pools import PoolResources


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything built from one configuration."""

    loaded: LoadedConfig
    listeners: Mapping[str, ListenerRuntime]
    plain: PlainRules
    """The rules for requests without TLS."""
    upstreams: tuple[UpstreamPlan, ...]
    routes: RouteTable[RouteTarget]
    error_pages: ErrorPages | None
    """For errors of requests that no route takes."""
    payload_uses: PayloadUses
    """The counts of messages under payload keys."""
    payload_revoked: frozenset[tuple[str, int]]
    """The rings and versions that are revoked when this generation begins to serve."""
    limits: HttpLimits
    identity_algorithms: Mapping[str, tuple[str, ...]]
    """The algorithms of each identity's keys, for the start-up report."""
    tokens: Mapping[str, TokenPlan]
    """The tokens with a key that is used."""
    warnings: tuple[Problem, ...]
    carried: Carried = field(repr=False)
    """What the next generation may use again."""

    def http(self, resources: PoolResources, previous: HttpRuntime | None = None) -> HttpRuntime:
        """Set up the pools of a loop. The new runtime keeps unchanged ones of `previous`."""
        upstreams = upstreams_from(self.upstreams, resources, {} if previous is None else previous.upstreams)
        policies = {name: runtime.policy for name, runtime in self.listeners.items()}
        config = self.loaded.config
        return HttpRuntime(
            self.routes,
            self.limits,
            config.log.query,
            policies,
            upstreams,
            log_fields=tuple(field.value for field in config.log.fields if field is not LogField.WIRE_BYTES),
            logs_wire_bytes=LogField.WIRE_BYTES in config.log.fields,
            log_samples=config.log.sample,
            logs_websocket_opens=config.log.websocket_opens,
            error_pages=self.error_pages,
            relays=relay_rules(config),
        )


def build(  # noqa: PLR0913 - what it is made of, each from somewhere else
    loaded: LoadedConfig,
    capabilities: Capabilities,
    tickets: TicketSecrets,
    now: datetime,
    before: Carried = Carried(),  # noqa: B008 - it never changes
    unusable: UnusableTokens = NONE_UNUSABLE,
    payload: PayloadKeys | None = None,
    turns: LoginTurns | None = None,
) -> Generation:
    """Build a generation. Raises `ConfigError` with every problem.

    `unusable` tokens are not used until a probe succeeds. A probe logs in when `turns`
    allows it; None if no other process logs in. `payload` has every ring that the configuration
    needs. If it is None, the generation gets throwaway keys and must not serve.
    """
    foundation = Foundation.of(loaded, before, unusable, turns)
    foundation.problems.extend(provider_problems(loaded.file, loaded.config.hsm, loaded.config.openssl, capabilities))
    foundation.problems.extend(suite_problems(loaded))
    credentials = load_credentials(loaded, now, before.credentials)
    foundation.problems.extend(credentials.problems)
    note_session_shortage(foundation)
    descriptors = most_descriptors()
    note_descriptor_shortage(foundation, descriptors)
    usable = usable_credentials(foundation, credentials.identities, capabilities, looks_again=now != before.judged_at)
    credentials = replace(credentials, identities=usable)
    clients = client_trusts(foundation, credentials.clients)
    listeners = listener_runtimes(foundation, credentials.identities, clients, capabilities, tickets)
    upstreams = tuple(upstream_plans(foundation, credentials.upstreams, descriptors))
    endpoints = route_endpoints(foundation)
    pages = error_pages(foundation)
    auth = auth_rules(foundation)
    if any(problem.is_error for problem in foundation.problems):
        raise ConfigError(foundation.problems)
    limits = loaded.config.limits
    uses = before.payload_uses or PayloadUses()
    keys = payload or throwaway_keys(loaded.config)
    rules = PayloadRules.of(loaded.config, keys, uses)
    trusted = publicly_trusted(loaded.config, credentials.identities, now)
    return Generation(
        loaded=loaded,
        listeners=listeners,
        plain=plain_rules(loaded.config),
        upstreams=upstreams,
        routes=route_table(loaded.config, RouteParts(rules, endpoints, pages, auth, trusted)),
        error_pages=pages.of_all,
        payload_uses=uses,
        payload_revoked=keys.revoked,
        limits=http_limits(limits),
        identity_algorithms={
            name: tuple(str(one.algorithm) for one in of_identity)
            for name, of_identity in credentials.identities.items()
        },
        tokens=token_plans(foundation),
        warnings=tuple(foundation.problems),
        carried=Carried(
            credentials.by_digest,
            foundation.contexts,
            foundation.client_tls,
            foundation.plans,
            foundation.token_keys,
            uses,
            now,
            clients=clients,
        ),
    )
