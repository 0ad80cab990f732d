"""Bytes of a client over TLS and of a server by TCP, as both see them and as the log tells it."""

import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from OpenSSL.SSL import TLS_CLIENT_METHOD, Connection, Context, ZeroReturnError

from tests.certificates import Authority, CertificateFiles
from tests.integration.relays import NAMES, SECONDS, connected, ended, read_exactly, relaying, tcp_listener
from tests.integration.stage import Site
from tests.integration.upstreams import Peer, scripted
from tests.ports import lasting_port
from tests.waiting import until_found


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> CertificateFiles:
    return authority.issue("irc", NAMES)


def talk(peer: Peer) -> None:
    """Greet, then do what each line asks for."""
    peer.send(b"hello\n")
    line = b""
    while not line.endswith(b"\n"):
        line += peer.read(1)
    match line.split():
        case [b"echo"]:
            while data := peer.read_some():
                peer.send(data)
            peer.send(b"bye\n")
        case [b"end"]:
            peer.end()
            assert peer.read_to_end() == b"more to say"
        case [b"reset"]:
            peer.reset()
        case [b"give", size]:
            peer.send(b"x" * int(size))
        case _:
            pass


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, certificate: CertificateFiles
) -> Iterator[Site]:
    with scripted(talk) as server:
        address = server.url.replace("http:", "tcp:")
        gone = f"tcp://127.0.0.1:{lasting_port()}"
        tables = tcp_listener(address) + tcp_listener(
            address, "chosen", alpn=["irc", "xmpp-client"], alpn_required=True
        )
        tables += tcp_listener(gone, "gone")
        with relaying(tmp_path_factory.mktemp("tcp"), authority, certificate, tables) as running:
            yield running


def half_closing(site: Site) -> Connection:
    """A client of pyOpenSSL, which can end its direction alone."""
    context = Context(TLS_CLIENT_METHOD)
    context.load_verify_locations(str(site.ca))
    client = Connection(context, socket.create_connection(("127.0.0.1", site.port("irc")), timeout=SECONDS))
    client.set_tlsext_host_name(b"irc.test")
    client.set_connect_state()
    client.setblocking(True)  # noqa: FBT003 - of pyOpenSSL
    client.do_handshake()
    return client


def test_both_speak_and_a_client_that_has_ended_still_hears_the_server(site: Site) -> None:
    client, sent = half_closing(site), 0
    assert client.recv(6) == b"hello\n"
    client.sendall(b"echo\n")
    for size in (1, 1_000, 16_384, 16_385, 100_000):
        payload = os.urandom(size)
        client.sendall(payload)
        heard = b""
        while len(heard) < size:
            heard += client.recv(size)
        assert heard == payload
        sent += size
    assert client.shutdown() is False  # a close_notify, and a direction that is still open
    assert client.recv(100) == b"bye\n"
    with pytest.raises(ZeroReturnError):
        client.recv(1)
    client.close()
    (line,) = ended(site, bytes_in=sent + 5)
    assert line["bytes_out"] == sent + len("hello\nbye\n")
    assert (line["reason"], line["listener"], line["name"], line["protocol"]) == ("closed", "irc", "irc.test", "tcp")
    assert (line["group"], line["upstream"]) == ("X25519MLKEM768", "irc")


def test_server_that_has_ended_still_hears_the_client(site: Site) -> None:
    with connected(site) as client:
        read_exactly(client, 6)
        client.sendall(b"end\n")
        assert client.recv(1) == b""  # a close_notify
        client.sendall(b"more to say")
        client.shutdown(socket.SHUT_WR)


def test_large_answer_arrives_whole(site: Site) -> None:
    with connected(site) as client:
        client.sendall(b"give 20000000\n")
        assert read_exactly(client, 20_000_006)[-1:] == b"x"
        assert client.recv(1) == b""
    (line,) = ended(site, bytes_out=20_000_006)
    assert line["reason"] == "closed"


def test_reset_of_the_server_is_a_cut_for_the_client(site: Site) -> None:
    with connected(site) as client:
        read_exactly(client, 6)
        client.sendall(b"reset\n")
        with pytest.raises(ssl.SSLEOFError):
            client.recv(1)
    (line,) = ended(site, reason="server_lost")
    assert "reset" in line["detail"]


def test_client_without_a_close_notify_is_a_reset_for_the_server(site: Site) -> None:
    with connected(site) as client:
        read_exactly(client, 6)
        client.sendall(b"echo\n")
    line = ended(site, reason="client_lost", bytes_in=5)[-1]
    assert line["detail"] == "its TLS ended without a close_notify"


def test_client_of_an_upstream_that_is_down_sees_a_cut(site: Site) -> None:
    with connected(site, on="gone") as client, pytest.raises(ssl.SSLEOFError):
        client.recv(1)
    (line,) = ended(site, reason="no_server")
    assert line["server"] is None
    assert "could not be reached" in line["detail"]


@pytest.mark.parametrize(("offered", "spoken"), [(("xmpp-client",), "xmpp-client"), (("xmpp-client", "irc"), "irc")])
def test_protocol_is_the_first_of_ours_that_the_client_offers(
    site: Site, offered: tuple[str, ...], spoken: str
) -> None:
    with connected(site, on="chosen", alpn=offered) as client:
        assert client.selected_alpn_protocol() == spoken
        client.sendall(b"give 1\n")
        read_exactly(client, 7)
    assert ended(site, listener="chosen", protocol=spoken)


@pytest.mark.parametrize("offered", [(), ("http/1.1",)])
def test_client_with_none_of_them_is_refused(site: Site, offered: tuple[str, ...]) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        connected(site, on="chosen", alpn=offered)


def test_listener_without_alpn_ignores_what_a_client_offers(site: Site) -> None:
    with connected(site, alpn=("irc",)) as client:
        assert client.selected_alpn_protocol() is None
        assert read_exactly(client, 6) == b"hello\n"


def test_figures_are_in_the_status(site: Site) -> None:
    for _ in range(2):
        with connected(site) as client:
            client.sendall(b"give 1000\n")
            assert len(read_exactly(client, 1_006)) == 1_006
            assert client.recv(1) == b""

    def two_have_ended() -> tuple[dict[str, Any], dict[str, Any]] | None:
        status: dict[str, Any] = site.admin.status()
        (irc,) = (one for one in status["listeners"] if one["name"] == "irc")
        (relays,) = irc["relays"]
        return (status, relays) if relays["ends"].get("closed", 0) >= 2 else None

    found = until_found(two_have_ended)
    assert found is not None
    status, relays = found
    assert relays["kind"] == "tcp"
    assert relays["bytes"]["to_client"] >= 2 * 1_006
    assert relays["connections"] >= relays["ends"]["closed"]
    (upstream,) = (one for one in status["upstreams"] if one["name"] == "irc")
    assert upstream["servers"][0]["requests"] >= relays["connections"]
    assert upstream["servers"][0]["websockets"] == 0
