"""What an established connection becomes, by the protocol that its client speaks."""

from config.tables.listener import HttpProtocol
from proxy.downstream.http1.connection import Http1Connection
from proxy.downstream.http2.connection import Http2Connection
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.service.service import HttpService
from proxy.downstream.tunnels.relay_visitors import TcpVisitor
from proxy.downstream.tunnels.tcp_connection import TcpConnection
from proxy.http2.session.server_session import ServerSession
from proxy.tls.openssl.stream import TlsStream

Taken = Http1Connection | Http2Connection | TcpConnection


def take_over(service: HttpService, stream: TlsStream, facts: ClientFacts) -> Taken:
    """Serve a connection. Returns what a reload reports about a new configuration."""
    protocol = facts.tls.protocol
    if protocol is HttpProtocol.HTTP_2:
        session = ServerSession(service.runtime.limits.http2, service.clock)
        counters = service.counters.listener(facts.listener).http2
        stream.owner = connection = Http2Connection(service, stream, facts, session, counters)
        return connection
    if protocol is HttpProtocol.HTTP_1:
        facts.wire = stream.raw
        stream.owner = downstream = Http1Connection(service, stream, facts)
        return downstream
    if facts.is_unreported:
        facts.report(facts.address, (), service.counters.breaking)
    stream.reads_on = True  # no request ends behind a record
    tcp = TcpConnection(service, stream, TcpVisitor(service, facts))
    tcp.begin()
    return tcp
