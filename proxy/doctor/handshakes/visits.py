"""Which listeners are visited, by which addresses and server names, and with which groups. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from config.schema import Config, IdentityConfig
from config.tables.client_certificates import ClientCertificateMode
from config.tables.listener import ListenerConfig, PqPolicy, ProxyProtocol
from config.tables.tcp import ListenerProtocol
from config.tables.upstream import ProxyHeaderVersion
from config.values.addresses import Bind, Refused, parse_bind, parse_ip
from proxy.api.status import StatusDocument
from proxy.doctor.handshakes.offers import USUAL, Groups
from proxy.limits.networks import is_in
from proxy.proxy_protocol.writing import own_header
from proxy.tls.handshake.group_choice import PolicyError, effective_pq, group_preference
from proxy.tls.wire.groups import KNOWN, GroupPreference, NamedGroup, classify

_WILDCARD_LABEL: Final = "plexigate-doctor"
_LOOPBACK: Final = {4: "127.0.0.1", 6: "::1"}
_AMPLE_BURST: Final = 500
"""A visit makes a dozen handshakes for each address and two for each name."""
_LONGEST_PAUSE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Entrance:
    """An address of a listener, and what is sent ahead of TLS: a PROXY header, or nothing."""

    host: str
    port: int
    ahead: bytes = b""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class VisitedName:
    """A server name that a client can ask for."""

    name: str
    identity: str
    settings: IdentityConfig

    @property
    def demands_certificate(self) -> bool:
        """Whether a client without a certificate gets no connection."""
        wanted = self.settings.client_certificates
        return wanted is not None and wanted.mode is ClientCertificateMode.REQUIRE


@dataclass(frozen=True, slots=True)
class VisitedListener:
    """A listener whose TLS can be tried."""

    name: str
    settings: ListenerConfig
    pq: PqPolicy
    """In force: a strict level requires."""
    preference: GroupPreference
    groups: Groups
    doors: tuple[Entrance, ...]
    names: tuple[VisitedName, ...]
    pause: float
    """Seconds before each handshake, so that the limits on a single client refuse none of them."""
    foreign: tuple[str, ...] = ()
    """Groups of the listener that the doctor's own TLS lacks, so that nothing tries them."""

    @property
    def alpn(self) -> tuple[str, ...]:
        """What a client offers that takes all that the listener speaks."""
        if self.settings.protocol is ListenerProtocol.TCP:
            return self.settings.alpn
        return tuple(str(one) for one in self.settings.http)

    @property
    def speaks_http(self) -> bool:
        return self.settings.protocol is ListenerProtocol.HTTP


@dataclass(frozen=True, slots=True)
class NotVisited:
    """A listener whose TLS is not tried, and why."""

    name: str
    reason: str


def listeners_to_visit(
    config: Config, addresses: Mapping[str, Sequence[str]], has_group: Callable[[str], bool]
) -> Iterator[VisitedListener | NotVisited]:
    """The listeners of a configuration.

    `addresses` are those that the listeners of the running proxy have, by listener; empty if none
    runs. `has_group` says what the doctor's own TLS can offer.
    """
    for name, settings in config.listener.items():
        binds = _bound(settings, addresses.get(name, ()))
        if not settings.opens_tls:
            yield NotVisited(name, "it passes every connection on with its TLS, and has no policy of its own")
        elif not binds:
            yield NotVisited(name, "port 0: without the running proxy its port is not known")
        else:
            yield _visited(config, name, settings, binds, has_group)


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A server name whose TLS goes to a server as it is."""

    listener: str
    name: str
    server: str
    door: Entrance


def names_passed_on(config: Config, addresses: Mapping[str, Sequence[str]]) -> Iterator[PassedOn]:
    """The names of `passthrough`, each at the first address of its listener that can be used."""
    for name, settings in config.listener.items():
        doors = _doors(settings, _bound(settings, addresses.get(name, ())))
        for server_name, server in settings.passthrough.items() if doors else ():
            yield PassedOn(name, server_name.replace("*", _WILDCARD_LABEL), str(server), doors[0])


def _visited(
    config: Config, name: str, settings: ListenerConfig, binds: Sequence[Bind], has_group: Callable[[str], bool]
) -> VisitedListener | NotVisited:
    try:
        pq = effective_pq(settings.level, settings.pq)
        preference = group_preference(settings.level, settings.pq, settings.groups, known_groups(settings))
    except PolicyError as error:
        return NotVisited(name, f"its policy contradicts itself: {error}")
    doors = _doors(settings, binds)
    if not doors:
        return NotVisited(name, "it takes PROXY headers, and not from this machine (proxy_protocol_from)")
    pause = _pause(config, settings, doors)
    if pause > _LONGEST_PAUSE:
        return NotVisited(name, "its limits on the handshakes of one client leave too few for a visit")
    names = tuple(_names(config, settings))
    if not names:
        return NotVisited(name, "no identity has a DNS name to ask for")
    groups = _groups(preference, has_group)
    foreign = tuple(one.name for one in _listed(preference) if not has_group(one.name))
    if len(foreign) == len(list(_listed(preference))):
        return NotVisited(
            name, f"it cannot be tried from here: the OpenSSL of the doctor has no {' and no '.join(foreign)}"
        )
    return VisitedListener(name, settings, pq, preference, groups, doors, names, pause, foreign)


def _bound(settings: ListenerConfig, running: Sequence[str]) -> list[Bind]:
    """The addresses that the running proxy has, else those of the file."""
    found = []
    for one in running:
        try:
            found.append(parse_bind(one))
        except Refused:
            continue
    return found or [bind for bind in settings.bind if bind.port]


def _doors(settings: ListenerConfig, binds: Sequence[Bind]) -> tuple[Entrance, ...]:
    doors = tuple(
        Entrance(_LOOPBACK[bind.host.version] if bind.host.is_unspecified else str(bind.host), bind.port)
        for bind in binds
    )
    if settings.proxy_protocol is not ProxyProtocol.REQUIRE:
        return doors
    # a connection to an address of this machine comes from that address
    trusted = (one for one in doors if is_in(one.host, settings.header_senders))
    return tuple(Entrance(one.host, one.port, own_header(ProxyHeaderVersion.BINARY, None)) for one in trusted)


def known_groups(settings: ListenerConfig) -> Mapping[str, NamedGroup]:
    """All groups that are known, and those of the file: a provider may have brought these."""
    written = [name for entry in settings.groups or () for name in ((entry,) if isinstance(entry, str) else entry)]
    # no wire has these code points: names are compared here
    foreign = {name.lower(): classify(name, -position) for position, name in enumerate(written, 1)}
    return {**foreign, **KNOWN}


def _groups(preference: GroupPreference, has_group: Callable[[str], bool]) -> Groups:
    listed = [group for group in _listed(preference) if has_group(group.name)]
    quantum_safe = (group.name for group in listed if group.is_quantum_safe)
    classical = (group.name for group in listed if not group.is_quantum_safe)
    return Groups(next(quantum_safe, USUAL.quantum_safe), next(classical, USUAL.classical))


def _listed(preference: GroupPreference) -> Iterator[NamedGroup]:
    return (group for one_tuple in preference.tuples for group in one_tuple)


def _pause(config: Config, settings: ListenerConfig, doors: Sequence[Entrance]) -> float:
    limits = config.limits.for_listener(settings.limits)
    is_exempt = all(is_in(one.host, settings.exempt) for one in doors)
    if is_exempt or limits.handshake_burst_per_address >= _AMPLE_BURST:
        return 0.0
    return 1.0 / limits.handshakes_per_second_per_address


def _names(config: Config, settings: ListenerConfig) -> Iterator[VisitedName]:
    for identity, proved in config.identity.items():
        for name in proved.names:
            # RFC 6066 section 3: a client sends no address as server name
            if parse_ip(name) is None and name not in settings.passthrough:
                yield VisitedName(name.replace("*", _WILDCARD_LABEL), identity, proved)


def addresses_by_listener(status: StatusDocument | None) -> dict[str, Sequence[str]]:
    """The addresses of each listener in the answer to `GET /status`; empty without an answer."""
    return {} if status is None else {one["name"]: one["addresses"] for one in status["listeners"]}


def mldsa_by_identity(status: StatusDocument | None) -> dict[str, bool]:
    """Whether each identity has an ML-DSA certificate, from the answer to `GET /status`."""
    found: dict[str, bool] = {}
    for one in () if status is None else status["certificates"]:
        found[one["identity"]] = found.get(one["identity"], False) or one["algorithm"].startswith("mldsa")
    return found
