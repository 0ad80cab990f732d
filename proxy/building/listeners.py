"""Build the parts of each `[listener.NAME]`: policy, identities with their contexts, and limits."""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import replace

from certs.identities.credential import Credential
from config.schema import REJECT, Config, ListenerConfig
from config.tables.tcp import ListenerProtocol
from config.values.addresses import is_covered
from config.values.problems import Location
from proxy.building.carried import ClientTrusts, ContextKey
from proxy.building.clients import reserved_names
from proxy.building.foundation import Foundation
from proxy.building.tokens.signing import signing_plan, without_tokens
from proxy.downstream.listeners.listening import ListenerRuntime
from proxy.downstream.service.relay_rules import RelayRules
from proxy.limits.connections import ListenerLimits
from proxy.limits.rates import Rate
from proxy.tls.handshake.group_choice import (
    PolicyError,
    UnknownGroupError,
    cipher_suites,
    effective_pq,
    group_preference,
)
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.identities import IdentityTable, ServerIdentity
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.configuration import FIPS
from proxy.tls.openssl.context import ServerContext, TlsSettings, build_alert_context, build_server_context
from proxy.tls.openssl.group_costs import SLOW_SECONDS, slow_groups
from proxy.tls.openssl.libssl import LibsslError
from proxy.tls.openssl.tickets import TicketSecrets, quic_key
from proxy.tls.tokens.signing_plan import SigningPlan
from proxy.tls.wire.groups import GroupPreference
from proxy.tls.wire.passthrough import PassthroughTable
from proxy.tls.wire.protocols import BARE_TCP, HTTP_3, ProtocolOffer
from proxy.tls.wire.signature_schemes import preference_at, sigalgs_list


def listener_runtimes(
    foundation: Foundation,
    credentials: Mapping[str, tuple[Credential, ...]],
    clients: ClientTrusts,
    capabilities: Capabilities,
    tickets: TicketSecrets,
) -> dict[str, ListenerRuntime]:
    return dict(_Listeners(foundation, credentials, clients, capabilities, tickets).build())


def relay_rules(config: Config) -> dict[str, RelayRules]:
    """What each listener does with connections that it does not read as HTTP."""
    rules = {}
    for name, settings in config.listener.items():
        limits = config.limits.for_listener(settings.limits)
        rules[name] = RelayRules(
            limits.tcp_idle_seconds, limits.tcp_half_closed_seconds, settings.upstream, settings.upstream_by_name
        )
    return rules


def _protocols(settings: ListenerConfig) -> ProtocolOffer:
    if settings.protocol is ListenerProtocol.HTTP:
        return ProtocolOffer.of_http(settings.http, (HTTP_3,) if settings.http3 else ())
    return ProtocolOffer(settings.alpn, None if settings.alpn_required else BARE_TCP)


def _passthrough(config: Config, settings: ListenerConfig) -> PassthroughTable | None:
    if not settings.passthrough:
        return None
    opened = {name for identity in config.identity.values() for name in identity.names}
    return PassthroughTable({name: str(server) for name, server in settings.passthrough.items()}, opened)


class _Listeners:
    def __init__(
        self,
        foundation: Foundation,
        credentials: Mapping[str, tuple[Credential, ...]],
        clients: ClientTrusts,
        capabilities: Capabilities,
        tickets: TicketSecrets,
    ) -> None:
        self._foundation = foundation
        self._config = foundation.loaded.config
        self._credentials = credentials
        self._clients = clients
        self._capabilities = capabilities
        self._tickets = tickets

    def build(self) -> Iterator[tuple[str, ListenerRuntime]]:
        for name, settings in self._config.listener.items():
            preference = self._preference(name, settings)
            if preference is not None:
                yield name, self._listener(name, settings, preference)

    def _listener(self, name: str, settings: ListenerConfig, preference: GroupPreference) -> ListenerRuntime:
        is_tcp = settings.protocol is ListenerProtocol.TCP
        offered = settings.alpn if is_tcp else settings.http
        tls = TlsSettings(self._groups_for_openssl(preference), cipher_suites(settings.level), offered)
        identities = list(self._identities(tls, preference, name))
        default = None
        if settings.default != REJECT:
            default = next((one for one in identities if one.name == settings.default), None)
        served = frozenset(settings.upstream_by_name) if is_tcp and settings.upstream is None else None
        limits = self._config.limits.for_listener(settings.limits)
        policy = HandshakePolicy(
            pq=effective_pq(settings.level, settings.pq),
            preference=preference,
            identities=IdentityTable(identities, default, served),
            hello_bytes=limits.client_hello_bytes,
            wire_bytes=limits.client_hello_wire_bytes,
            alert_context=build_alert_context(),
            tls_limits=self._foundation.tls_limits,
            protocols=_protocols(settings),
            passthrough=_passthrough(self._config, settings),
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
                Rate.of(limits.handshakes_per_second_per_address, limits.handshake_burst_per_address),
                limits.handshake_seconds,
                Rate.of(limits.slow_groups_rate, limits.slow_groups_burst),
                limits.fleet_connections,
            ),
            trusted_peers=settings.trusted_peers,
            exempt=settings.exempt,
            header_senders=() if settings.proxy_protocol is None else settings.header_senders,
            client_address_from=settings.client_address_from,
            linger=self._foundation.linger,
            quic=self._quic(name, settings, preference, policy, tls) if settings.http3 else None,
            quic_keys=tuple(quic_key(one) for one in self._tickets.all),
        )

    def _quic(
        self,
        name: str,
        settings: ListenerConfig,
        preference: GroupPreference,
        policy: HandshakePolicy,
        tls: TlsSettings,
    ) -> HandshakePolicy:
        identities = list(self._identities(replace(tls, protocols=(HTTP_3,), is_quic=True), preference, name))
        default = next((one for one in identities if one.name == settings.default), None)
        return HandshakePolicy(
            pq=policy.pq,
            preference=preference,
            identities=IdentityTable(identities, default),
            hello_bytes=policy.hello_bytes,
            wire_bytes=policy.wire_bytes,
            alert_context=policy.alert_context,
            tls_limits=policy.tls_limits,
            protocols=ProtocolOffer((HTTP_3,), None),
            passthrough=policy.passthrough,
        )

    def _identities(self, tls: TlsSettings, preference: GroupPreference, listener: str) -> Iterator[ServerIdentity]:
        fast = preference.without_slow if preference.slow else None
        for name, credentials in self._credentials.items():
            one = self._identity(name, credentials, tls, listener) if credentials else None
            if one is not None and fast is not None:
                groups = self._groups_for_openssl(fast)
                part = replace(tls, groups=groups, all_groups=tls.groups)
                one.fast = self._identity(name, credentials, part, listener)
            if one is not None:
                yield one

    def _preference(self, name: str, settings: ListenerConfig) -> GroupPreference | None:
        key = "level" if settings.groups is None else "groups"
        try:
            preference = group_preference(settings.level, settings.pq, settings.groups, self._capabilities.groups)
            return self._measured(preference, ("listener", name, key), settings)
        except PolicyError as error:
            found = str(error)
            allowed = "groups that this OpenSSL has and the policy allows"
            if isinstance(error, UnknownGroupError) and error.name.lower() in map(
                str.lower, self._capabilities.unusable_groups
            ):
                found = f"{error.name}, which a provider lists, but with which OpenSSL makes no TLS 1.3 hello"
            if isinstance(error, UnknownGroupError) and FIPS in self._capabilities.providers:
                allowed = 'level = "high", or groups of the FIPS provider, such as X25519MLKEM768 and secp256r1'
            if not self._capabilities.has_group_tuples:
                allowed = (
                    "OpenSSL 3.5 or newer (Debian 13 has it), or a provider that brings the groups: openssl.providers"
                )
            self._foundation.error(("listener", name, key), found, allowed)
            return None

    def _measured(self, preference: GroupPreference, place: Location, settings: ListenerConfig) -> GroupPreference:
        """With the groups that are too slow for an event loop; warns of them."""
        slow = slow_groups(preference.by_code_point.values())
        if not slow:
            return preference
        limits = self._config.limits.for_listener(settings.limits)
        costs = ", ".join(
            f"{preference.by_code_point[code_point].name}, whose key exchange takes {seconds * 1_000:.0f} ms"
            for code_point, seconds in slow.items()
        )
        better = (
            f"groups below {SLOW_SECONDS * 1_000:g} ms; a worker makes at most {1 / max(slow.values()):.0f} such"
            f" exchanges a second. A client may ask for {limits.slow_groups_rate:g} a second (slow_groups_rate), and"
            " then gets another group that it offers, or is refused"
        )
        self._foundation.problems.append(self._foundation.loaded.file.warning(place, costs, better))
        return replace(preference, slow=slow)

    def _groups_for_openssl(self, preference: GroupPreference) -> str:
        listed = preference.openssl_list()
        return listed if self._capabilities.has_group_tuples else listed.replace(" / ", ":")

    def _identity(
        self, identity: str, credentials: tuple[Credential, ...], tls: TlsSettings, listener: str
    ) -> ServerIdentity | None:
        settings = self._config.listener[listener]
        tls = replace(tls, clients=self._clients.get((identity, settings.binds_signatures)))
        try:
            context, plan = self._proof(identity, credentials, tls, listener)
        except (ssl.SSLError, OSError, LibsslError) as error:
            self._foundation.error(
                ("identity", identity),
                f"credentials that OpenSSL does not take on listener {listener}: {error}",
                "certificates and keys of a kind that TLS 1.3 can sign with",
            )
            return None
        names = frozenset(self._config.identity[identity].names)
        # a browser that has a connection under a wildcard asks for such a name on it too
        # (RFC 9113 section 9.1.1), and 421 sends it to the server that has the name
        passed = frozenset(one for one in settings.passthrough if is_covered(one, names))
        reserved = reserved_names(self._config.identity, identity) | passed
        return ServerIdentity(identity, names, context, plan, tls.clients, reserved=reserved)

    def _proof(
        self, identity: str, credentials: tuple[Credential, ...], tls: TlsSettings, listener: str
    ) -> tuple[ServerContext, SigningPlan | None]:
        prefer = preference_at(self._config.listener[listener].level, self._config.identity[identity].prefer)
        key = ContextKey(
            identity,
            tuple(one.digest for one in credentials),
            sigalgs_list(prefer),
            tls,
            self._tickets,
            tuple(one.is_spread for one in credentials),
        )
        context = self._foundation.known_context(key)
        if context is None:
            context = build_server_context(
                identity, without_tokens(credentials), key.signature_algorithms, tls, self._tickets
            )
        plan = signing_plan(self._foundation, key, credentials, prefer)
        self._foundation.contexts[key] = context
        return context, plan
