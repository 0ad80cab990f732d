"""What is set on every TCP socket."""

import socket

from proxy.net.tcp_options import KEEP_ALIVE, MOST_UNSENT_BYTES, keep_little_unsent, queued_connections, tune


def test_peer_that_went_away_is_found_by_the_kernel() -> None:
    with socket.socket() as sock:
        tune(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        for option, value in KEEP_ALIVE:
            assert sock.getsockopt(socket.IPPROTO_TCP, option) == value
    values = dict(KEEP_ALIVE)
    idle, interval, count = (values[name] for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT))
    assert idle + interval * count <= 120


def test_the_queue_of_a_listening_socket_is_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert queued_connections(listening) == 0
        with socket.create_connection(listening.getsockname()), socket.create_connection(listening.getsockname()):
            assert queued_connections(listening) == 2
            listening.accept()[0].close()
            assert queued_connections(listening) == 1


def test_the_kernel_buffers_little_for_one_that_has_many_answers() -> None:
    """What the peer has no room for is unsent."""
    taken = []
    for is_little in (False, True):
        with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            peer.connect(listening.getsockname())
            sock = listening.accept()[0]
            with sock:
                if is_little:
                    keep_little_unsent(sock)
                sock.settimeout(0)
                taken.append(sock.send(bytes(8_000_000)))
    assert taken[1] < 131_072 + MOST_UNSENT_BYTES + 65_536 < taken[0]


def test_socket_that_is_closed_takes_no_option() -> None:
    sock = socket.socket()
    sock.close()
    keep_little_unsent(sock)
