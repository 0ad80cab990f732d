"""What listeners for TCP, and those that pass TLS through, say about other tables. Pure."""

from collections.abc import Iterator

from config.crosschecks.checks import Checks
from config.schema import Config, UpstreamConfig
from config.tables.listener import REJECT, ListenerConfig
from config.tables.tcp import ListenerProtocol
from config.tables.upstream import Balance, HashKind, HealthConfig
from config.values.addresses import is_covered, parse_ip
from config.values.omissions import Omissions
from config.values.problems import Problem, listed, shown

# Keys that mean nothing without HTTP: written there they are a mistake.
_HTTP_UPSTREAM_FIELDS = ("http", "cookie", "first_byte_seconds", "stall_seconds", "idle_seconds")
_HTTP_HEALTH_KEYS = ("path", "host", "statuses")
_HTTP_LISTENER_KEYS = {
    "http": 'no http here: a listener with protocol = "tcp" offers the protocols of alpn',
    "client_address_from": 'no such key: a listener with protocol = "tcp" reads no fields; see proxy_protocol',
    "http3": 'no http3 here: a listener with protocol = "tcp" accepts TCP only',
    "http3_port": 'no such key: a listener with protocol = "tcp" has no http3',
}
_TCP_LISTENER_KEYS = ("upstream", "upstream_by_name", "alpn", "alpn_required")


def tcp_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """Every problem of TCP listeners and of passthrough that spans tables or keys."""
    checks = _TcpChecks(config, file, omissions)
    for name, listener in config.listener.items():
        if listener.protocol is ListenerProtocol.TCP:
            yield from checks.tcp_listener(name, listener)
        else:
            yield from checks.http_listener(name, listener)
        yield from checks.passthrough(name, listener)
    for name, upstream in config.upstream.items():
        if upstream.is_without_http or name in config.tcp_upstreams:
            yield from checks.tcp_upstream(name, upstream)
        else:
            yield from checks.http_upstream(name, upstream)
    yield from checks.routes()


class _TcpChecks(Checks):
    def http_listener(self, name: str, listener: ListenerConfig) -> Iterator[Problem]:
        if self.omissions.touch("listener", name, "protocol"):
            return
        for key in _TCP_LISTENER_KEYS:
            if key in listener.model_fields_set:
                found = f"{key} on a listener for HTTP"
                yield self.error(("listener", name, key), found, 'protocol = "tcp" as well; for HTTP a [[route]]')

    def tcp_listener(self, name: str, listener: ListenerConfig) -> Iterator[Problem]:
        for key, allowed in _HTTP_LISTENER_KEYS.items():
            if key in listener.model_fields_set:
                yield self.error(("listener", name, key), f'{key} together with protocol = "tcp"', allowed)
        if not (listener.upstream or listener.upstream_by_name or listener.passthrough):
            allowed = "an upstream for all names, upstream_by_name, or passthrough"
            yield self.error(("listener", name, "upstream"), "nothing", allowed)
        if listener.trusted_peers and (listener.proxy_protocol is None or listener.proxy_protocol_from):
            allowed = 'proxy_protocol = "require" as well: a listener for TCP believes nothing else of its peers'
            found = "trusted_peers without proxy_protocol"
            if listener.proxy_protocol_from:
                found = "trusted_peers together with proxy_protocol_from"
                allowed = "only one of both: TCP has no headers of HTTP"
            yield self.error(("listener", name, "trusted_peers"), found, allowed)
        if listener.alpn_required and not listener.alpn:
            allowed = 'a list of protocols as well, such as alpn = ["irc"]'
            yield self.error(("listener", name, "alpn_required"), "alpn_required without alpn", allowed)
        if listener.default != REJECT and listener.upstream is None:
            allowed = f'"{REJECT}", or an upstream for the names that upstream_by_name does not have'
            yield self.error(("listener", name, "default"), f"{shown(listener.default)} without upstream", allowed)
        yield from self._known_upstreams(name, listener)

    def _known_upstreams(self, name: str, listener: ListenerConfig) -> Iterator[Problem]:
        named: dict[tuple[str, ...], str] = {
            ("upstream_by_name", server): one for server, one in listener.upstream_by_name.items()
        }
        if listener.upstream is not None:
            named["upstream",] = listener.upstream
        known = self.names("upstream")
        for place, upstream in named.items():
            if upstream not in known:
                allowed = f"the name of an upstream: {listed(known)}"
                yield self.error(("listener", name, *place), shown(upstream), allowed)
            elif (there := self.config.upstream.get(upstream)) is not None and _speaks_http(there):
                found = f"{shown(upstream)}, whose servers speak HTTP"
                yield self.error(("listener", name, *place), found, "an upstream with tcp://, tls:// or unix: servers")
        names = self._identity_names()
        for server in listener.upstream_by_name:
            if not is_covered(server, names) and not self.omissions.touch("identity"):
                allowed = "a name of an identity, because clients can only reach these"
                yield self.error(("listener", name, "upstream_by_name", server), shown(server), allowed)

    def passthrough(self, name: str, listener: ListenerConfig) -> Iterator[Problem]:
        names = self._identity_names()
        for server in listener.passthrough:
            if parse_ip(server) is not None:
                # RFC 6066 section 3
                allowed = "a DNS name: a ClientHello names no addresses"
                yield self.error(("listener", name, "passthrough", server), shown(server), allowed)
            elif server in names:
                allowed = "a name that no identity has: the TLS of a name is opened here, or passed through"
                yield self.error(("listener", name, "passthrough", server), f"{shown(server)} of an identity", allowed)

    def tcp_upstream(self, name: str, upstream: UpstreamConfig) -> Iterator[Problem]:
        for field in _HTTP_UPSTREAM_FIELDS:
            if field in upstream.model_fields_set:
                key = UpstreamConfig.key_of(field)
                yield self.error(("upstream", name, key), f"{key} of servers for TCP", "this key only for HTTP")
        if upstream.balance is Balance.STICKY_COOKIE:
            allowed = '"least-connections", "round-robin" or "consistent-hash" by "address": there are no cookies'
            yield self.error(("upstream", name, "balance"), '"sticky-cookie" of servers for TCP', allowed)
        if upstream.hash_on is not None and upstream.hash_on.kind is not HashKind.ADDRESS:
            found = f'"{upstream.hash_on}" of servers for TCP'
            yield self.error(("upstream", name, "hash_on"), found, '"address": no header is read')
        for key in _HTTP_HEALTH_KEYS:
            if upstream.health is not None and key in upstream.health.model_fields_set:
                allowed = "no such key: a connection that succeeds is a good answer"
                yield self.error(("upstream", name, "health", key), f"{key} of servers for TCP", allowed)

    def http_upstream(self, name: str, upstream: UpstreamConfig) -> Iterator[Problem]:
        is_judged = not self.omissions.touch("upstream", name) and not self.omissions.touch("listener")
        if isinstance(upstream.health, HealthConfig) and upstream.health.path is None and is_judged:
            allowed = 'the path that each server is asked for, such as "/healthz"'
            yield self.error(("upstream", name, "health", "path"), "nothing", allowed)

    def routes(self) -> Iterator[Problem]:
        listeners = self.config.listener.values()
        is_http_gone = bool(listeners) and all(one.protocol is ListenerProtocol.TCP for one in listeners)
        for_http = [one for one in listeners if one.protocol is ListenerProtocol.HTTP]
        for index, route in enumerate(self.config.route):
            is_passed = bool(for_http) and all(route.host in one.passthrough for one in for_http)
            if is_passed and not self.omissions.touch("listener"):
                better = "no route: each listener for HTTP passes the TLS of this name through, so none is used"
                yield self.warning(("route", index, "host"), shown(route.host), better)
            if route.auth is not None:
                yield from self._for_requests(("route", index, "auth", "upstream"), route.auth.upstream)
            if route.upstream not in self.config.upstream:
                continue
            yield from self._for_requests(("route", index, "upstream"), route.upstream)
            if is_http_gone and not self.omissions.touch("listener"):
                better = 'a listener for HTTP: those with protocol = "tcp" read no requests, so no route is used'
                yield self.warning(("route", index), f'a route for "{route.host}"', better)

    def _for_requests(self, location: tuple[str | int, ...], name: str) -> Iterator[Problem]:
        """What keeps an upstream from answering requests."""
        upstream = self.config.upstream.get(name)
        if upstream is not None and upstream.is_without_http:
            found = f"{shown(name)}, whose servers are for TCP"
            yield self.error(location, found, "an upstream with http://, https:// or unix: servers")
        elif name in self.config.tcp_upstreams:
            found = f'{shown(name)}, which a listener with protocol = "tcp" uses'
            yield self.error(location, found, "an upstream of its own for HTTP")

    def _identity_names(self) -> frozenset[str]:
        return frozenset(name for identity in self.config.identity.values() for name in identity.names)


def _speaks_http(upstream: UpstreamConfig) -> bool:
    return any(server.address.scheme in {"http", "https"} for server in upstream.servers)
