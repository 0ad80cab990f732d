"""What an established connection becomes, by the protocol that its client speaks: each is served over real TLS elsewhere."""

from proxy.downstream.http1.connection import Http1Connection
from proxy.downstream.http2.connection import Http2Connection
from proxy.downstream.listeners.takeover import Taken
from proxy.downstream.tunnels.tcp_connection import TcpConnection


def test_all_of_them_can_be_told_of_a_reload() -> None:
    for kind in (Http1Connection, Http2Connection, TcpConnection):
        assert kind in Taken.__args__
        assert hasattr(kind, "configuration_changed")
