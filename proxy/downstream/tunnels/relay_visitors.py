"""Who is at the client's end of bytes that go both ways: for choices, the log and a reload."""

from collections.abc import Mapping
from typing import Final, Protocol

from proxy.downstream.pipeline.request_log import RequestLog
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.service.service import HttpService
from proxy.limits.idleness import Idle, Shown
from proxy.limits.reasons import RelayEnd
from proxy.observe.counts.relay_counters import RelayCounters
from proxy.observe.events.clients import milliseconds, offered_groups
from proxy.observe.events.relays import PassthroughClosed, TcpClosed
from proxy.tls.handshake.results import UnopenedHello
from proxy.upstream.pooling.client_link import NO_LINK, ClientLink


class RelayFigures:
    """What became of a connection."""

    def __init__(
        self, end: RelayEnd, detail: str | None, upstream: str | None, server: str | None, seconds: float
    ) -> None:
        """`upstream` is the one it was given to at its begin. `seconds` is how long it lasted."""
        self.end = end
        self.detail = detail
        self.upstream = upstream
        self.server = server
        self.seconds = seconds
        self.bytes_in = 0
        self.bytes_out = 0


class RelayVisitor(Protocol):
    """The client of one connection."""

    address: str
    listener: str
    network: bytes
    """The client network that the connection counts for, or `EXEMPT`."""
    link: ClientLink
    """What a PROXY header tells servers about the connection."""

    @property
    def upstream(self) -> str | None:
        """The name of the upstream that gets the connection; None if there is none."""

    @property
    def counters(self) -> RelayCounters: ...

    def idle(self, since: float) -> Idle:
        """A connection that waits for its client."""

    def stands(self) -> None:
        """Judge the connection as if it came now. Raises `NoLongerWelcome`."""

    def lost(self, error: OSError | None) -> None:
        """The client's connection is gone."""

    def left(self, figures: RelayFigures) -> None:
        """Write the line of the log."""


class TcpVisitor:
    """A client whose TLS we opened."""

    def __init__(self, service: HttpService, facts: ClientFacts) -> None:
        self._service: Final = service
        self._facts: Final = facts
        self.address = facts.address
        self.listener = facts.listener
        self.network = facts.network
        self.link: ClientLink = facts
        self.counters = service.counters.listener(facts.listener).tcp

    @property
    def upstream(self) -> str | None:
        rules = self._service.runtime.relays.get(self.listener)
        return None if rules is None else rules.upstream_for(self._facts.tls.server_name)

    def idle(self, since: float) -> Idle:
        """A connection that waits for its client."""
        return self._facts.idle(since)

    def stands(self) -> None:
        """Judge its key exchange, its name and its protocol. Raises `NoLongerWelcome`."""
        self._facts.stand(self._service.runtime.policies)
        if self.upstream is None:
            raise NoLongerWelcome("a reload took its server name from the listener")

    def lost(self, error: OSError | None) -> None:
        """If the client broke TLS, this gets a line and a count of its own."""
        RequestLog(self._service, self._facts).lost(error)

    def left(self, figures: RelayFigures) -> None:
        """Write the line of the log."""
        client = self._facts.requester.record
        self._service.ledger.log_event(
            TcpClosed(
                client=client.client,
                listener=client.listener,
                name=client.name,
                group=client.group,
                outcome=client.outcome,
                resumed=client.resumed,
                protocol=client.protocol,
                upstream=figures.upstream,
                server=figures.server,
                bytes_in=figures.bytes_in,
                bytes_out=figures.bytes_out,
                duration_ms=milliseconds(figures.seconds),
                reason=figures.end,
                detail=figures.detail,
                subject=client.subject,
            )
        )


class PassedVisitor:
    """A client whose TLS goes to a server as it is."""

    def __init__(
        self,
        service: HttpService,
        listener: str,
        address: str,
        network: bytes,
        hello: UnopenedHello,
        names: Mapping[int, str],
    ) -> None:
        """`names` are those of the groups that the listener knows."""
        self._service: Final = service
        self._hello: Final = hello
        self._groups: Final = offered_groups(hello.groups, names)
        self.address = address
        self.listener = listener
        self.network = network
        self.link = NO_LINK
        self.upstream: str | None = hello.upstream
        self.counters = service.counters.listener(listener).passthrough
        for group in hello.groups:
            if group in names:  # a client cannot add to these
                self.counters.groups[names[group]] += 1

    def idle(self, since: float) -> Idle:
        """A connection that has sent its hello, and nothing more."""
        return Idle(Shown.HANDSHAKE, since, self.listener, self.network)

    def stands(self) -> None:
        """Raises `NoLongerWelcome` if its name is not passed on any more."""
        policy = self._service.runtime.policies.get(self.listener)
        table = None if policy is None else policy.passthrough
        if table is None or table.upstream_for(self._hello.server_name) is None:
            raise NoLongerWelcome("a reload took its server name from passthrough")

    def lost(self, error: OSError | None) -> None:
        """Ignored: what the client says by TLS is for the server."""

    def left(self, figures: RelayFigures) -> None:
        """Write the line of the log."""
        self._service.ledger.log_event(
            PassthroughClosed(
                client=self.address,
                listener=self.listener,
                name=self._hello.server_name,
                groups=self._groups,
                server=figures.server,
                bytes_in=figures.bytes_in,
                bytes_out=figures.bytes_out,
                duration_ms=milliseconds(figures.seconds),
                reason=figures.end,
                detail=figures.detail,
            )
        )
