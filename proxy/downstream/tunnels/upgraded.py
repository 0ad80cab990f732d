"""What a connection was before it became a tunnel: for the log, and to judge it again."""

from proxy.downstream.pipeline.contracts import SwitchedStream, TunnelServer
from proxy.downstream.pipeline.pipeline import unmet_demand
from proxy.downstream.pipeline.request_log import RequestLog
from proxy.downstream.pipeline.responder import RequestTally
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.refusals import RequestRefusal, too_many_websockets
from proxy.downstream.requests.request import Request
from proxy.downstream.requests.standing import NoLongerWelcome
from proxy.downstream.requests.tunnel_places import TunnelPlace
from proxy.downstream.service.service import HttpService
from proxy.downstream.tunnels.websocket_tunnel import Tunnel
from proxy.limits.idleness import Idle, Shown
from proxy.net.byte_stream import ByteStream


def place_for(
    service: HttpService, facts: ClientFacts, request: Request, server: TunnelServer, *, is_stream: bool
) -> TunnelPlace | RequestRefusal:
    """Take a place for a request that becomes a tunnel, or return its refusal.

    A connection of HTTP/1.1 is counted by its listener already, but for its peer: not for a client
    that a trusted peer names. `is_stream` says that it is a stream of HTTP/2.
    """
    client = request.client
    is_named = client.chain is not None and bool(client.chain.addresses)
    listener = facts.listener_places if is_stream or is_named else None
    place = service.tunnel_places.take(client.network, server, listener)
    return place if isinstance(place, TunnelPlace) else too_many_websockets(place)


class Upgraded:
    """The owner of a tunnel: its request, the figures for the log, and the client's facts."""

    def __init__(self, service: HttpService, facts: ClientFacts, request: Request, tally: RequestTally) -> None:
        self._service = service
        self._facts = facts
        self._log = RequestLog(service, facts)
        self._request = request
        self._tally = tally
        self._server: TunnelServer
        self._place: TunnelPlace

    def begin(self, client: ByteStream, switched: SwitchedStream, from_client: bytes) -> Tunnel:
        """Make the tunnel of both streams, tell its server, and start it.

        It starts with the bytes that either side sent early.
        """
        tunnel = Tunnel(self._service, client, switched.stream, switched.extensions, self)
        if switched.messages is not None:
            tunnel.encrypt(switched.messages)
        self._server = switched.server
        self._place = switched.place
        self._place.holder = tunnel
        self._server.tunnel_opened(tunnel)
        if self._service.runtime.logs_websocket_opens:
            self._log.opened(self._request, self._tally)
        counters = self._service.counters.route(self._tally.route)
        tunnel.begin(counters, from_client=from_client, from_upstream=switched.rest)
        return tunnel

    def tunnel_stands(self) -> None:
        """Judge the request as if it came now. Raises `NoLongerWelcome`."""
        runtime = self._service.runtime
        facts = self._facts
        client = self._request.client
        maintenance = self._service.maintenance
        facts.stand(runtime.policies)
        admitted = self._request.routed(facts.tls, runtime.routes)
        if not isinstance(admitted, RequestRefusal):
            if maintenance is not None and maintenance.refusal(admitted.label, client) is not None:
                raise NoLongerWelcome("its route is under maintenance")
            admitted = unmet_demand(admitted, facts, client) or admitted
        if isinstance(admitted, RequestRefusal):
            raise NoLongerWelcome(f"a reload removed its route or made it stricter: {admitted.detail}")

    def idle(self, shown: Shown, since: float) -> Idle:
        return Idle(shown, since, self._facts.listener, self._request.client.network)

    def client_lost(self, error: OSError | None) -> None:
        self._log.lost(error)

    def tunnel_ended(self, tunnel: Tunnel, reason: str | None) -> None:
        tally = self._tally
        self._server.tunnel_ended(tunnel)
        self._place.release()
        tally.request_bytes = tunnel.client_bytes
        tally.response_bytes = tunnel.server_bytes
        self._log.request(self._request, tally, tally.status, reason, tunnel.messages, tunnel.closed)
