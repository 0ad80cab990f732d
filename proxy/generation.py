"""From a configuration to everything that runs by it: the composition root.

A `Generation` is immutable. It is built completely, or not at all with every problem named; a worker then serves by it.
"""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from certs.credential import Credential
from certs.identities import load_credentials
from config.loaded import LoadedConfig
from config.problems import ConfigError, Problem
from config.schema import (
    REJECT,
    CredentialPreference,
    LimitsConfig,
    ListenerConfig,
    RouteConfig,
    ServerAddress,
    UpstreamConfig,
)
from proxy.downstream.admission import RouteTarget
from proxy.downstream.service import HttpLimits, HttpRuntime
from proxy.http.chunked import ChunkLimits
from proxy.http.head import HeadLimits
from proxy.http.routing import Route, RouteTable
from proxy.http.websocket import WebSocketLimits
from proxy.listener import ListenerLimits, ListenerRuntime
from proxy.sockets import Linger
from proxy.tls.capabilities import Capabilities
from proxy.tls.context import (
    ServerContext,
    TlsSettings,
    UpstreamTls,
    build_alert_context,
    build_client_context,
    build_server_context,
)
from proxy.tls.groups import GroupPreference
from proxy.tls.handshake import HandshakePolicy
from proxy.tls.identities import IdentityTable, ServerIdentity
from proxy.tls.libssl import LibsslError
from proxy.tls.policy import PolicyError, cipher_suites, effective_pq, group_preference
from proxy.tls.signature_schemes import sigalgs_list
from proxy.tls.stream import TlsLimits
from proxy.tls.tickets import TicketSecrets
from proxy.upstream.connection import ResponseLimits
from proxy.upstream.dial import DialSettings
from proxy.upstream.pool import PoolResources, Server, ServerLimits, Upstream

# What we offer an upstream: hybrids first; what follows keeps servers reachable that know none (they are inside our own network).
_UPSTREAM_GROUPS: Final = "X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024:X25519:secp256r1:secp384r1"


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """Everything about one `[upstream.NAME]` that can be settled before there is a loop."""

    name: str
    dialling: tuple[DialSettings, ...]
    responses: ResponseLimits
    limits: ServerLimits


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """One `[[route]]`."""

    host: str
    path: str
    upstream: str
    requires_pq: bool
    body_bytes: int


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
        upstreams = {
            plan.name: Upstream(
                plan.name, [Server(dialling, plan.responses, plan.limits, resources) for dialling in plan.dialling]
            )
            for plan in self.upstreams
        }
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
    return _Building(loaded, capabilities, tickets).build(now)


class _Building:
    """One attempt, which collects problems."""

    def __init__(self, loaded: LoadedConfig, capabilities: Capabilities, tickets: TicketSecrets) -> None:
        self._loaded = loaded
        self._capabilities = capabilities
        self._tickets = tickets
        self._problems: list[Problem] = list(loaded.warnings)
        limits = loaded.config.limits
        self._tls_limits = TlsLimits(limits.key_updates_per_minute)
        self._linger = Linger(limits.linger_bytes, limits.linger_seconds, limits.write_idle_seconds)

    def build(self, now: datetime) -> Generation:
        loaded, config = self._loaded, self._loaded.config
        self._problems += self._provider_problems()
        credentials = load_credentials(loaded, now)
        self._problems += credentials.problems
        listeners = {
            name: runtime
            for name, settings in config.listener.items()
            if (runtime := self._listener(name, settings, credentials.identities)) is not None
        }
        upstreams = tuple(self._upstreams(credentials.upstreams))
        errors = [problem for problem in self._problems if problem.is_error]
        if errors:
            raise ConfigError(self._problems)
        return Generation(
            loaded=loaded,
            listeners=listeners,
            upstreams=upstreams,
            routes=tuple(_route(route, config.limits) for route in config.route),
            limits=_http_limits(config.limits),
            identity_algorithms={
                name: tuple(str(one.algorithm) for one in of_identity)
                for name, of_identity in credentials.identities.items()
            },
            tickets=self._tickets,
            warnings=tuple(self._problems),
        )

    def _provider_problems(self) -> Iterator[Problem]:
        for index, name in enumerate(self._loaded.config.openssl.providers):
            if name in self._capabilities.missing_providers:
                yield self._loaded.error(
                    ("openssl", "providers", index),
                    f'"{name}", which OpenSSL cannot load',
                    "a provider whose module is in OpenSSL's module directory, or set openssl.module_path to where it is",
                )

    # -- listeners

    def _listener(
        self, name: str, settings: ListenerConfig, credentials: Mapping[str, tuple[Credential, ...]]
    ) -> ListenerRuntime | None:
        preference = self._preference(name, settings)
        if preference is None:
            return None
        tls = TlsSettings(self._groups_for_openssl(preference), cipher_suites(settings.level))
        identities = [
            ServerIdentity(identity, frozenset(self._loaded.config.identity[identity].names), context)
            for identity, of_identity in credentials.items()
            if of_identity and (context := self._context(identity, of_identity, tls, name)) is not None
        ]
        default = None
        if settings.default != REJECT:
            default = next((one for one in identities if one.name == settings.default), None)
        limits = self._loaded.config.limits
        policy = HandshakePolicy(
            pq=effective_pq(settings.level, settings.pq),
            preference=preference,
            identities=IdentityTable(identities, default),
            hello_bytes=limits.client_hello_bytes,
            wire_bytes=limits.client_hello_wire_bytes,
            alert_context=build_alert_context(),
            tls_limits=self._tls_limits,
        )
        return ListenerRuntime(
            name=name,
            policy=policy,
            cipher_suites=tls.cipher_suites,
            limits=ListenerLimits(
                limits.connections,
                limits.connections_per_address,
                limits.handshakes_in_flight,
                limits.handshakes_per_address,
                limits.handshake_seconds,
            ),
            trusted_peers=settings.trusted_peers,
            linger=self._linger,
        )

    def _preference(self, name: str, settings: ListenerConfig) -> GroupPreference | None:
        key = "level" if settings.groups is None else "groups"
        try:
            return group_preference(settings.level, settings.pq, settings.groups, self._capabilities.groups)
        except PolicyError as error:
            found, allowed = str(error), "groups that this OpenSSL has and the policy allows"
            if not self._capabilities.has_group_tuples:
                allowed = (
                    "OpenSSL 3.5 or newer (Debian 13 has it), or a provider that brings the groups: openssl.providers"
                )
            self._problems.append(self._loaded.error(("listener", name, key), found, allowed))
            return None

    def _groups_for_openssl(self, preference: GroupPreference) -> str:
        listed = preference.openssl_list()
        return listed if self._capabilities.has_group_tuples else listed.replace(" / ", ":")

    def _context(
        self, identity: str, credentials: tuple[Credential, ...], tls: TlsSettings, listener: str
    ) -> ServerContext | None:
        prefer: CredentialPreference = self._loaded.config.identity[identity].prefer
        try:
            return build_server_context(identity, credentials, sigalgs_list(prefer), tls, self._tickets)
        except (ssl.SSLError, OSError, LibsslError) as error:
            self._problems.append(
                self._loaded.error(
                    ("identity", identity),
                    f"credentials that OpenSSL does not take on listener {listener}: {error}",
                    "certificates and keys of a kind that TLS 1.3 can sign with",
                )
            )
            return None

    # -- upstreams

    def _upstreams(self, credentials: Mapping[str, Credential]) -> Iterator[UpstreamPlan]:
        for name, settings in self._loaded.config.upstream.items():
            context = None
            if any(server.scheme == "https" for server in settings.servers) and not self._is_faulty("upstream", name):
                context = self._client_context(name, settings, credentials.get(name))
            limits = self._loaded.config.limits
            yield UpstreamPlan(
                name=name,
                dialling=tuple(self._dialling(server, settings, context) for server in settings.servers),
                responses=ResponseLimits(
                    head_bytes=limits.response_head_bytes,
                    head=HeadLimits(limits.target_bytes, limits.response_header_count, limits.response_head_bytes),
                    chunks=_chunk_limits(limits),
                    informational=limits.early_responses,
                    first_byte_seconds=settings.first_byte_seconds,
                    stall_seconds=settings.stall_seconds,
                    idle_seconds=settings.idle_seconds,
                ),
                limits=ServerLimits(settings.connections, settings.waiting, settings.wait_seconds),
            )

    def _is_faulty(self, *location: str) -> bool:
        """Whether an error inside of a table is known already: what follows from it needs no saying."""
        inside = self._loaded.key(*location) + "."
        return any(problem.is_error and problem.key.startswith(inside) for problem in self._problems)

    def _dialling(
        self, server: ServerAddress, settings: UpstreamConfig, context: ssl.SSLContext | None
    ) -> DialSettings:
        return DialSettings(
            address=server,
            connect_seconds=settings.connect_seconds,
            tls=context if server.scheme == "https" else None,
            server_name=settings.server_name or server.host,
            tls_limits=self._tls_limits,
            linger=self._linger,
        )

    def _client_context(
        self, name: str, settings: UpstreamConfig, credential: Credential | None
    ) -> ssl.SSLContext | None:
        tls = UpstreamTls(
            ca=None if settings.ca is None else self._loaded.resolve(settings.ca),
            certificate=None if credential is None else credential.certificate_path,
            key=None if credential is None else credential.key_pem_path,
            groups=_UPSTREAM_GROUPS,
        )
        try:
            return build_client_context(tls)
        except (ssl.SSLError, OSError, LibsslError) as error:
            self._problems.append(
                self._loaded.error(("upstream", name), f"TLS settings that OpenSSL does not take: {error}", "PEM files")
            )
            return None


def _route(route: RouteConfig, limits: LimitsConfig) -> RoutePlan:
    body_bytes = limits.body_bytes if route.body_bytes is None else route.body_bytes
    return RoutePlan(route.host, route.path, route.upstream, route.pq is not None, body_bytes)


def _chunk_limits(limits: LimitsConfig) -> ChunkLimits:
    return ChunkLimits(limits.chunk_line_bytes, limits.chunk_overhead_bytes, limits.trailer_bytes, limits.trailer_count)


def _http_limits(limits: LimitsConfig) -> HttpLimits:
    return HttpLimits(
        head_bytes=limits.head_bytes,
        head=HeadLimits(limits.target_bytes, limits.header_count, limits.header_bytes),
        chunks=_chunk_limits(limits),
        pipelined_bytes=limits.pipelined_bytes,
        head_seconds=limits.head_seconds,
        keep_alive_seconds=limits.keep_alive_seconds,
        body_idle_seconds=limits.body_idle_seconds,
        write_idle_seconds=limits.write_idle_seconds,
        websocket=WebSocketLimits(limits.websocket_message_bytes, limits.websocket_fragments),
        websocket_idle_seconds=limits.websocket_idle_seconds,
        websocket_close_seconds=limits.websocket_close_seconds,
    )


def provider_module_path(loaded: LoadedConfig) -> Path | None:
    """Where the modules of the configured providers are, None for OpenSSL's own directory."""
    path = loaded.config.openssl.module_path
    return None if path is None else loaded.resolve(path)
