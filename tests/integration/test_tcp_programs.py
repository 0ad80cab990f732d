"""A real IRC server and a real XMPP server behind TCP listeners, and clients that speak their protocols."""

import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen

import pytest

from tests.certificates import Authority
from tests.integration.relays import NAMES, connected, ended, relaying, tcp_listener
from tests.integration.stage import Site
from tests.ports import lasting_port
from tests.programs import end

_PATH = "/usr/sbin:/usr/bin:/usr/local/bin"
NGIRCD, PROSODY = shutil.which("ngircd", path=_PATH), shutil.which("prosody", path=_PATH)
_IRC = """
[Global]
Name = irc.test
Info = test
Listen = 127.0.0.1
Ports = {port}
ServerUID = {user}
ServerGID = {group}
[Options]
DNS = no
Ident = no
PAM = no
"""
_XMPP = """
run_as_root = true
pidfile = "{directory}/prosody.pid"
data_path = "{directory}"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
modules_enabled = {{ "saslauth" }}
modules_disabled = {{ "s2s", "tls", "offline", "posix" }}
c2s_require_encryption = false
log = {{ {{ levels = {{ min = "error" }}, to = "console" }} }}
VirtualHost "irc.test"
authentication = "anonymous"
"""
_STREAM = (
    "<?xml version='1.0'?><stream:stream to='irc.test' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)


@contextmanager
def server(directory: Path, port: int, command: list[str]) -> Iterator[None]:
    """Run a server until the block ends."""
    with (directory / "log").open("wb") as log:
        process = Popen(command, stdin=DEVNULL, stdout=log, stderr=STDOUT)
    try:
        give_up = time.monotonic() + 20.0
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, (directory / "log").read_text()
                assert time.monotonic() < give_up
                time.sleep(0.05)
        yield
    finally:
        end(process)


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"irc": lasting_port(), "xmpp": lasting_port()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority, ports: dict[str, int]) -> Iterator[Site]:
    tables = tcp_listener(f"tcp://127.0.0.1:{ports['irc']}", alpn=["irc"])
    tables += tcp_listener(f"tcp://127.0.0.1:{ports['xmpp']}", "xmpp", alpn=["xmpp-client"], alpn_required=True)
    with relaying(tmp_path_factory.mktemp("programs"), authority, authority.issue("irc", NAMES), tables) as running:
        yield running


def until(client: ssl.SSLSocket, text: str) -> str:
    """Read up to what is waited for."""
    heard = ""
    while text not in heard:
        piece = client.recv(16_384)
        assert piece, heard
        heard += piece.decode()
    return heard


@pytest.mark.skipif(NGIRCD is None, reason="apt-get install ngircd (./dev test does)")
def test_people_talk_by_irc(site: Site, ports: dict[str, int], tmp_path: Path) -> None:
    configuration = tmp_path / "ngircd.conf"
    owner = tmp_path.stat()
    configuration.write_text(_IRC.format(port=ports["irc"], user=owner.st_uid, group=owner.st_gid))
    with (
        server(tmp_path, ports["irc"], [str(NGIRCD), "-n", "-f", str(configuration)]),
        connected(site, alpn=("irc",)) as ann,
        connected(site) as bob,
    ):
        for client, name in ((ann, "ann"), (bob, "bob")):
            client.sendall(f"NICK {name}\r\nUSER {name} 0 * :{name}\r\n".encode())
            until(client, " 001 ")
            client.sendall(b"JOIN #chat\r\n")
            until(client, " 366 ")
        bob.sendall("PRIVMSG #chat :Grüße\r\n".encode())
        assert ":Grüße" in until(ann, "PRIVMSG")
        bob.sendall(b"QUIT :bye\r\n")
        assert "Closing" in until(bob, "ERROR")
        while bob.recv(1_000):
            pass  # up to the close_notify
        assert "bye" in until(ann, "QUIT")
    line = ended(site, listener="irc", reason="closed")[0]
    assert line["protocol"] == "tcp"
    assert line["group"] == "X25519MLKEM768"


@pytest.mark.skipif(PROSODY is None, reason="apt-get install prosody (./dev test does)")
def test_message_goes_through_prosody(site: Site, ports: dict[str, int], tmp_path: Path) -> None:
    configuration = tmp_path / "prosody.cfg.lua"
    configuration.write_text(_XMPP.format(port=ports["xmpp"], directory=tmp_path))
    command = [str(PROSODY), "-F", "--config", str(configuration)]
    with (
        server(tmp_path, ports["xmpp"], command),
        connected(site, on="xmpp", alpn=("xmpp-client",)) as client,
    ):
        client.sendall(_STREAM.encode())
        assert "ANONYMOUS" in until(client, "</stream:features>")
        client.sendall(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>")
        until(client, "<success")
        client.sendall(_STREAM.encode())
        until(client, "</stream:features>")
        client.sendall(b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        jid = until(client, "</jid>").partition("<jid>")[2].partition("</jid>")[0]
        client.sendall(f"<presence/><message to='{jid}' type='chat'><body>Hallo</body></message>".encode())
        until(client, "<body>Hallo</body>")
        client.sendall(b"</stream:stream>")
        until(client, "</stream:stream>")
    assert ended(site, listener="xmpp", protocol="xmpp-client")[0]["server"] == f"tcp://127.0.0.1:{ports['xmpp']}"
