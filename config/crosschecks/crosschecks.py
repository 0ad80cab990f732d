"""Rules that span several tables of a configuration. Pure: the schema's values in, problems out."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from config.crosschecks.admin_page import page_problems
from config.crosschecks.checks import Checks
from config.crosschecks.client_certificates import client_certificate_problems
from config.crosschecks.clients import client_problems
from config.crosschecks.hsm import token_problems
from config.crosschecks.issuers import acme_problems
from config.crosschecks.payload import payload_problems
from config.crosschecks.replicas import replica_problems
from config.crosschecks.replies import reply_problems
from config.crosschecks.routes import reach_problems, route_problems
from config.crosschecks.tcp import tcp_problems
from config.schema import (
    REJECT,
    Config,
    InternalIssuerConfig,
    IssuedCredentialConfig,
    LimitsConfig,
    PqPolicy,
    RatePer,
)
from config.tables.operations.log import log_problems
from config.tables.plain import plain_problems
from config.tables.tcp import ListenerProtocol
from config.values.durations import written
from config.values.omissions import Omissions
from config.values.problems import Problem, listed, shown

# The name of OpenSSL's FIPS provider.
_FIPS = "fips"
# Pairs of limits of which the second is reached first if the first is larger.
_ORDERED_LIMITS = (
    ("connections_per_address", "connections"),
    ("handshakes_per_address", "handshakes_in_flight"),
    ("handshakes_in_flight", "connections"),
    ("handshakes_per_address", "connections_per_address"),
    ("client_hello_bytes", "client_hello_wire_bytes"),
    ("header_bytes", "head_bytes"),
    ("target_bytes", "head_bytes"),
    ("chunk_line_bytes", "chunk_overhead_bytes"),
    ("http2_stream_window_bytes", "http2_stream_window_most_bytes"),
)


# Tables whose entries others name: without a whole one, each such name would be told as unknown.
_NAMED = frozenset(
    {("listener",), ("identity",), ("upstream",), ("issuer",), ("payload",), ("payload", "ring"), ("hsm",)}
)


def cross_check(config: Config, file: str, omissions: Omissions | None = None) -> list[Problem]:
    """Find contradictions between tables. A problem that may follow from a part that was refused
    (`omissions`) is not reported.
    """
    checks = _CrossChecks(config, file, omissions or Omissions())
    if checks.omissions.locations & _NAMED:
        return []
    return [
        *checks.needed_tables(),
        *checks.listeners(),
        *client_problems(config, file, checks.omissions),
        *checks.binds(),
        *checks.metrics(),
        *plain_problems(config.plain, config.listener, file, checks.omissions),
        *checks.identities(),
        *checks.issued_credentials(),
        *checks.fetched_state(),
        *checks.fleet(),
        *checks.fleet_limits(),
        *replica_problems(config, file, checks.omissions),
        *checks.issuers(),
        *acme_problems(config, file, checks.omissions),
        *checks.upstreams(),
        *checks.cookies(),
        *route_problems(config, file, checks.omissions),
        *client_certificate_problems(config, file, checks.omissions),
        *reply_problems(config, file, checks.omissions),
        *page_problems(config, file, checks.omissions),
        *reach_problems(config, file, checks.omissions),
        *checks.providers(),
        *log_problems(config.log, [route.entry_name for route in config.route], file, checks.omissions),
        *checks.limits(),
        *checks.listener_limits(),
        *payload_problems(config, file, checks.omissions),
        *token_problems(config, file, checks.omissions),
        *tcp_problems(config, file, checks.omissions),
    ]


class _CrossChecks(Checks):
    def needed_tables(self) -> Iterator[Problem]:
        listeners = self.config.listener.values()
        opens_tls = not listeners or any(one.opens_tls for one in listeners)
        if not listeners and not self.omissions.touch("listener"):
            yield self.error(("listener",), "nothing", "at least one [listener.NAME]")
        if opens_tls and not self.config.identity and not self.omissions.touch("identity"):
            yield self.error(("identity",), "nothing", "at least one [identity.NAME]")
        reads_requests = not listeners or any(one.protocol is ListenerProtocol.HTTP for one in listeners)
        if reads_requests and not self.config.route and not self.omissions.touch("route"):
            yield self.warning(("route",), "nothing", "at least one [[route]]: every request is answered with 404")

    def listeners(self) -> Iterator[Problem]:
        identities = self.names("identity")
        for name, listener in self.config.listener.items():
            if listener.default != REJECT and listener.default not in identities:
                allowed = f'"{REJECT}" or the name of an identity: {listed(identities)}'
                yield self.error(("listener", name, "default"), shown(listener.default), allowed)
            if not listener.level.requires_pq:
                continue
            if listener.pq is PqPolicy.OFF:
                allowed = f'no pq: level "{listener.level}" has only hybrid groups, so pq cannot be "off"'
                yield self.error(("listener", name, "pq"), '"off"', allowed)
            if listener.pq is PqPolicy.REPORT:
                better = f'"require": level "{listener.level}" implies it, so clients are refused, not only reported'
                yield self.warning(("listener", name, "pq"), '"report"', better)

    def binds(self) -> Iterator[Problem]:
        owners: dict[str, str] = {}
        for name, listener in self.config.listener.items():
            for index, bind in enumerate(listener.bind):
                key = self.omissions.key("listener", name, "bind", index)
                first = owners.setdefault(str(bind), key)
                if first != key and bind.port:  # port 0 is another port each time
                    yield Problem(self.file, key, f'"{bind}", which {first} already uses', "each address and port once")

    def metrics(self) -> Iterator[Problem]:
        """The parent listens on these, workers on the others: no address is in both lists."""
        others = {
            self.omissions.key("listener", name, "bind", index): bind
            for name, listener in self.config.listener.items()
            for index, bind in enumerate(listener.bind)
        }
        others |= {
            self.omissions.key("plain", "bind", index): bind for index, bind in enumerate(self.config.plain.bind)
        }
        for index, bind in enumerate(self.config.admin.metrics_bind):
            key = self.omissions.key("admin", "metrics_bind", index)
            first = next((other for other, taken in others.items() if bind.overlaps(taken)), None)
            if first is not None:
                allowed = "an address and port of its own, such as 127.0.0.1:9464"
                yield Problem(self.file, key, f'"{bind}", which {first} already uses', allowed)
            elif bind.host.is_unspecified:
                better = (
                    "127.0.0.1, or the address of the network of your monitoring: figures tell who your clients are"
                )
                found = f'"{bind}", which is every address of this machine'
                yield self.warning(("admin", "metrics_bind", index), found, better)
            others[key] = bind

    def identities(self) -> Iterator[Problem]:
        if REJECT in self.config.identity:
            allowed = f'another name: "{REJECT}" is reserved for listener.NAME.default'
            yield self.error(("identity", REJECT), f'an identity named "{REJECT}"', allowed)
        owners: dict[str, str] = {}
        for identity, settings in self.config.identity.items():
            for index, name in enumerate(settings.names):
                key = self.omissions.key("identity", identity, "names", index)
                first = owners.setdefault(name, key)
                if first != key:
                    allowed = "each name once: it decides which certificate a client gets"
                    yield Problem(self.file, key, f'"{name}", which {first} already uses', allowed)

    def issued_credentials(self) -> Iterator[Problem]:
        issuers = self.names("issuer")
        needs_state = False
        for name, index, issuer in self._issuers_used():
            needs_state = True
            if issuer not in issuers:
                allowed = f"the name of an issuer: {listed(issuers)}"
                place = ("identity", name, "credential", index, "issuer")
                yield self.error(place, shown(issuer), allowed)
        if needs_state and self.config.rotation.state is None and not self.omissions.touch("rotation"):
            allowed = 'a directory for issued keys and certificates, such as "/var/lib/plexigate"'
            yield self.error(("rotation", "state"), "nothing", allowed)

    def fetched_state(self) -> Iterator[Problem]:
        """What is fetched has to be kept: lists for a start without the network, and how far a log
        was read.
        """
        clients = {name: one.client_certificates for name, one in self.config.identity.items()}
        names = [name for name, one in clients.items() if one is not None and one.crl_url]
        if self.config.rotation.state is not None or self.omissions.touch("rotation"):
            return
        found = "addresses, while rotation.state is not set"
        if names:
            place = ("identity", names[0], "client_certificates", "crl_url")
            yield self.error(place, found, "a directory that keeps the lists")
        if self.config.ct.watch:
            yield self.error(("ct", "watch"), found, "a directory that keeps how far each log was read")

    def fleet_limits(self) -> Iterator[Problem]:
        """A limit over all nodes of a node that has no fleet."""
        if self.config.fleet.etcd or self.omissions.touch("fleet"):
            return
        limits: dict[tuple[str, ...], int | None] = {("limits",): self.config.limits.fleet_connections}
        limits |= {
            ("listener", name, "limits"): one.limits.fleet_connections for name, one in self.config.listener.items()
        }
        for place, connections in limits.items():
            if connections is not None:
                yield self.error((*place, "fleet_connections"), str(connections), "a node of a fleet (fleet.etcd)")
        for index, route in enumerate(self.config.route):
            if route.rate is not None and route.rate.per is RatePer.FLEET:
                yield self.error(("route", index, "rate", "per"), '"fleet"', "a node of a fleet (fleet.etcd)")

    def fleet(self) -> Iterator[Problem]:
        if self.config.fleet.etcd and self.config.sealing.key is None and not self.omissions.touch("sealing"):
            found = "a fleet, while [sealing] has no key"
            yield self.error(("fleet", "etcd"), found, "a key that seals what the nodes share (plexigate hsm init)")

    def _issuers_used(self) -> Iterator[tuple[str, int, str]]:
        for name, identity in self.config.identity.items():
            for index, credential in enumerate(identity.credential):
                if isinstance(credential, IssuedCredentialConfig):
                    yield name, index, credential.issuer

    def issuers(self) -> Iterator[Problem]:
        used = {issuer for _, _, issuer in self._issuers_used()}
        used |= {name for one in self.config.issuer.values() for name in getattr(one, "fallback", ())}
        for name in self.config.issuer:
            if name not in used and not self.omissions.touch("identity"):
                better = "a credential with this issuer, or no such table"
                yield self.warning(("issuer", name), "an issuer that no credential uses", better)
        for name, issuer in self.config.issuer.items():
            if isinstance(issuer, InternalIssuerConfig) and issuer.intermediate_lifetime < 4 * issuer.lifetime:
                found = f'"{written(issuer.intermediate_lifetime)}"'
                allowed = "at least four times issuer lifetime, because the intermediate has to survive the certificates that it signs"
                yield self.error(("issuer", name, "intermediate_lifetime"), found, allowed)
        shown_at: dict[tuple[str | None, str, str], str] = {}
        for name, issuer in self.config.issuer.items():
            if isinstance(issuer, InternalIssuerConfig) and issuer.crl_url is not None:
                parts = urlsplit(issuer.crl_url)
                first = shown_at.setdefault((parts.hostname, parts.path or "/", parts.query), name)
                if first != name:  # [plain] has one list for each host and path
                    found = f'"{issuer.crl_url}", which issuer.{first}.crl_url already uses'
                    yield self.error(("issuer", name, "crl_url"), found, "an address for each issuer")

    def upstreams(self) -> Iterator[Problem]:
        used = {route.upstream for route in self.config.route if route.upstream is not None}
        used |= {route.auth.upstream for route in self.config.route if route.auth is not None}
        used |= {name for listener in self.config.listener.values() for name in listener.tcp_upstreams}
        # a route to an unknown upstream is probably meant for one of these
        are_all_read = not (self.omissions.touch("route") or self.omissions.touch("listener"))
        are_routes_known = are_all_read and used <= self.names("upstream")
        for name, upstream in self.config.upstream.items():
            if name not in used and are_routes_known:
                yield self.warning(
                    ("upstream", name), "an upstream that no route uses", "a [[route]] to it, or no such table"
                )
            addresses = [server.address for server in upstream.servers]
            for index, address in enumerate(addresses):
                if address in addresses[:index]:
                    allowed = "each server once: its weight says how much it gets"
                    yield self.error(("upstream", name, "servers", index), f'"{address}" again', allowed)

    def cookies(self) -> Iterator[Problem]:
        owners: dict[str, str] = {}
        for name, upstream in self.config.upstream.items():
            if upstream.cookie is not None and upstream.cookie.name is not None:
                key = self.omissions.key("upstream", name, "cookie", "name")
                first = owners.setdefault(upstream.cookie.name, key)
                if first != key:
                    found = f'"{upstream.cookie.name}", which {first} already uses'
                    yield Problem(
                        self.file,
                        key,
                        found,
                        "a different cookie for each upstream, because they would overwrite each other",
                    )

    def providers(self) -> Iterator[Problem]:
        providers = self.config.openssl.providers
        for index, name in enumerate(providers):
            if name in providers[:index]:
                yield self.error(("openssl", "providers", index), f'"{name}" again', "each provider once")
            if name == _FIPS and self.config.hsm is not None:
                yield self.error(
                    ("openssl", "providers", index),
                    f'"{name}" together with [hsm]: with approved algorithms alone, OpenSSL does not use pkcs11-provider',
                    "one of them: keys in files with the FIPS provider, or keys in tokens without it",
                )

    def limits(self) -> Iterator[Problem]:
        for smaller, larger in _ORDERED_LIMITS:
            yield from self._disordered(self.config.limits, smaller, larger, ("limits",))
        yield from self._windows()

    def _windows(self) -> Iterator[Problem]:
        """One stalled body fills the window of its stream; the others need the rest."""
        limits = self.config.limits
        most = limits.http2_stream_window_most_bytes
        whole = limits.http2_connection_window_bytes
        if 2 * most > whole and not self.omissions.touch("limits"):
            better = f"at least {2 * most:_}, twice http2_stream_window_most_bytes: one stalled body delays others"
            yield self.warning(("limits", "http2_connection_window_bytes"), f"{whole:_}", better)

    def listener_limits(self) -> Iterator[Problem]:
        for name, listener in self.config.listener.items():
            own = listener.limits.model_dump(exclude_none=True)
            limits = self.config.limits.for_listener(listener.limits)
            for smaller, larger in _ORDERED_LIMITS:
                place = ("listener", name, "limits")
                if smaller in own or larger in own:  # else [limits] has the same warning
                    yield from self._disordered(limits, smaller, larger, place)

    def _disordered(self, limits: LimitsConfig, smaller: str, larger: str, place: tuple[str, ...]) -> Iterator[Problem]:
        """A limit that is never reached, because another one is reached before it."""
        value = getattr(limits, smaller)
        most = getattr(limits, larger)
        if value > most and not self.omissions.touch("limits"):
            better = f"at most {most:_}, the value of {larger}, which is reached first"
            yield self.warning((*place, smaller), f"{value:_}", better)
