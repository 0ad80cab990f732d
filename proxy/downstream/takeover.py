"""What an established connection becomes, by the protocol that its client speaks."""

from config.listener import HttpProtocol
from proxy.downstream.client import ClientFacts
from proxy.downstream.connection import Downstream
from proxy.downstream.ending import ClientEnding
from proxy.downstream.h2_connection import Http2Connection
from proxy.downstream.h2_ending import Http2Ending
from proxy.downstream.relay_visitors import TcpVisitor
from proxy.downstream.service import HttpService
from proxy.downstream.tcp_connection import TcpConnection
from proxy.tls.stream import TlsStream

Taken = ClientEnding | Http2Ending | TcpConnection


def take_over(service: HttpService, stream: TlsStream, facts: ClientFacts) -> Taken:
    """Serve a connection. Returns what a reload tells of a new configuration."""
    protocol = facts.tls.protocol
    if protocol is HttpProtocol.HTTP_2:
        stream.owner = connection = Http2Connection(service, stream, facts)
        return Http2Ending(service, connection)
    if protocol is HttpProtocol.HTTP_1:
        facts.wire = stream.raw
        stream.owner = downstream = Downstream(service, stream, facts)
        return ClientEnding(service, downstream)
    if facts.is_unreported:
        facts.report(facts.address, (), service.counters.breaking)
    stream.reads_on = True  # no request ends behind a record
    tcp = TcpConnection(service, stream, TcpVisitor(service, facts))
    tcp.begin()
    return tcp
