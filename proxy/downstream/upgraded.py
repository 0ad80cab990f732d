"""What a connection was before it became a tunnel: kept for the tunnel's line in the log, and to judge it anew."""

from proxy.downstream.client import ClientFacts
from proxy.downstream.exchange import Exchange
from proxy.downstream.refusals import RequestRefusal
from proxy.downstream.request_log import RequestLog
from proxy.downstream.requests import Request
from proxy.downstream.service import HttpService
from proxy.downstream.standing import NoLongerWelcome, standing
from proxy.downstream.tunnel import Tunnel
from proxy.http.websocket import Extensions
from proxy.net.byte_stream import ByteStream


class Upgraded:
    """The owner of a tunnel: the request that it began with, and whose it was."""

    __slots__ = ("_exchange", "_facts", "_log", "_request", "_service")

    def __init__(self, service: HttpService, facts: ClientFacts, request: Request, exchange: Exchange) -> None:
        """The exchange has ended with a 101."""
        self._service = service
        self._facts = facts
        self._log = RequestLog(service, facts)
        self._request = request
        self._exchange = exchange

    def tunnel(self, client: ByteStream, upstream: ByteStream, extensions: Extensions) -> Tunnel:
        """Make the tunnel of both streams; its server knows about it."""
        tunnel = Tunnel(self._service, client, upstream, extensions, self)
        self._exchange.tunnel_opened(tunnel)
        return tunnel

    def tunnel_stands(self) -> None:
        """Judge the request as if it came now. Raises `NoLongerWelcome`."""
        runtime, facts = self._service.runtime, self._facts
        facts.tls = standing(facts.tls, facts.listener, runtime.policies)
        admitted = self._request.admitted(facts.tls, runtime.routes)
        if isinstance(admitted, RequestRefusal):
            raise NoLongerWelcome(f"a reload removed its route or made it stricter: {admitted.detail}")

    def client_lost(self, error: OSError | None) -> None:
        """See `RequestLog.lost`."""
        self._log.lost(error)

    def tunnel_ended(self, tunnel: Tunnel, reason: str | None) -> None:
        """Log what it was."""
        exchange = self._exchange
        exchange.tunnel_ended(tunnel)
        exchange.request_bytes, exchange.response_bytes = tunnel.client_bytes, tunnel.server_bytes
        self._log.request(self._request, exchange, exchange.status, reason, tunnel.messages)
