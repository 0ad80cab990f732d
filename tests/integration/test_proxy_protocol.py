"""The PROXY protocol with real programs: HAProxy, nginx and curl in front, HAProxy and nginx behind."""

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.integration.balancers import haproxy, nginx
from tests.integration.gateway import events
from tests.integration.relays import NAMES, ended, relaying, tcp_listener
from tests.integration.stage import Site, Upstream, body_of, site
from tests.integration.upstreams import Peer, scripted
from tests.ports import lasting_port

BEHIND = """
[listener.public]
bind = ["127.0.0.1:0", "[::1]:0"]
proxy_protocol = "require"
trusted_peers = ["127.0.0.1", "::1"]

[listener.apart]
bind = "127.0.0.1:0"
proxy_protocol = "require"
proxy_protocol_from = ["127.0.0.1"]
trusted_peers = ["192.0.2.9"]

[listener.direct]
bind = "127.0.0.1:0"
"""
CLIENT = "127.0.0.7"


def answer(peer: Peer) -> None:
    """Say what the request says of its client, and the first bytes of the connection if they are a PROXY header."""
    for message in peer.requests(is_peer_trusted=True):
        body = " ".join(message.values("X-Forwarded-For")).encode()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture(scope="module")
def behind(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy whose listener `public` wants PROXY headers."""
    directory = tmp_path_factory.mktemp("behind")
    with (
        scripted(answer) as server,
        site(directory, authority, localhost, {"chat": Upstream((server.url,), path="/")}, BEHIND) as running,
    ):
        yield running


def said_to_server(running: Site, port: int, *options: str) -> str:
    """What a server is told of curl's address, by HTTP/2."""
    done = running.curl("--http2", *options, url=f"https://localhost:{port}/")
    return body_of(done).decode()


class TestInFront:
    @pytest.mark.parametrize(("to", "address"), [("127.0.0.1", "192.0.2.1"), ("[::1]", "2001:db8::7")])
    def test_curl_names_a_client(self, behind: Site, to: str, address: str) -> None:
        """It calls an IPv6 address `TCP4` on a connection of IPv4: such a line is refused."""
        port = next(int(one.rpartition(":")[2]) for one in behind.program.ready["public"] if one.startswith(to))
        way = ("--connect-to", f"::{to}:{port}")
        assert said_to_server(behind, port, *way, "--haproxy-clientip", address) == address
        assert said_to_server(behind, port, *way, "--haproxy-protocol") == to.strip("[]")

        def logged(output: list[str]) -> bool | None:
            return any(f'"client":"{address}"' in line for line in output) or None

        assert behind.program.wait_for(logged)

    def test_who_sends_headers_is_believed_nothing_else(self, behind: Site) -> None:
        """And who is believed sends no headers: two lists."""
        claim, url = ("--header", "X-Forwarded-For: 198.51.100.7"), f"https://localhost:{behind.port('apart')}/"

        def told(address: str) -> bytes:
            return body_of(behind.curl("--haproxy-clientip", address, *claim, url=url))

        assert told("192.0.2.9") == b"198.51.100.7, 192.0.2.9"
        assert told("127.0.0.1") == b"127.0.0.1"

    def test_a_line_with_the_address_of_another_family_is_refused(self, behind: Site) -> None:
        before = behind.admin.failures()
        assert behind.curl("--haproxy-clientip", "2001:db8::7").returncode != 0
        after = behind.admin.failures()
        assert after["public", "proxy_header"] == before.get(("public", "proxy_header"), 0) + 1

    def test_without_a_header_or_from_elsewhere_there_is_no_connection(self, behind: Site) -> None:
        before = behind.admin.failures()
        assert behind.curl().returncode != 0
        assert behind.curl("--interface", "127.0.0.2", "--haproxy-clientip", "192.0.2.1").returncode != 0
        assert behind.curl("--haproxy-protocol", url=f"https://localhost:{behind.port('direct')}/").returncode != 0
        failures = behind.admin.failures()
        assert failures["public", "proxy_header"] == before.get(("public", "proxy_header"), 0) + 1
        assert failures["public", "proxy_header_sender"] == 1
        assert failures["direct", "not_tls"] == 1

        def logged(output: list[str]) -> list[dict[str, Any]] | None:
            return [one for one in events(output, "handshake_failed") if "begins with TLS" in one["detail"]] or None

        refused = behind.program.wait_for(logged)[0]
        assert (refused["client"], refused["reason"]) == ("127.0.0.1", "proxy_header")

    def test_haproxy_and_nginx_name_their_clients_and_their_checks_are_no_failures(
        self, behind: Site, tmp_path: Path, localhost: CertificateFiles
    ) -> None:
        before = behind.admin.failures()
        ports = {name: lasting_port() for name in ("text", "binary", "secure", "stream")}
        server = f"server plexigate 127.0.0.1:{behind.port()} source 127.0.0.1"
        pair = tmp_path / "pair.pem"
        pair.write_text(localhost.certificate.read_text() + localhost.key.read_text())
        secure = "ssl verify none sni str(localhost) alpn h2 send-proxy-v2-ssl-cn"
        text = "".join(
            f"listen {name}\n  mode tcp\n  bind 127.0.0.1:{ports[name]} {bound}\n  {server} {options}\n"
            for name, bound, options in (
                ("text", "", "send-proxy check inter 50 check-send-proxy"),
                ("binary", "", "send-proxy-v2 proxy-v2-options crc32c,authority check inter 50 check-send-proxy"),
                (
                    "secure",
                    f"ssl crt {pair} alpn h2",
                    f"{secure} proxy-v2-options crc32c,ssl check check-sni localhost inter 5s",
                ),
            )
        )
        stream = (
            f"server {{ listen 127.0.0.1:{ports['stream']}; proxy_bind 127.0.0.1; proxy_protocol on;"
            f" proxy_pass 127.0.0.1:{behind.port()}; }}"
        )
        with haproxy(tmp_path, text, ports["text"]), nginx(tmp_path, ports["stream"], stream=stream):
            for port in ports.values():
                for _ in range(3):
                    assert said_to_server(behind, port, "--interface", CLIENT) == CLIENT
            assert behind.admin.failures() == before, "the end of HAProxy may cut a check"


def raw_header(peer: Peer) -> None:
    """Answer with the header that came first on the connection, in hexadecimal, and how many requests came before."""
    header = peer.read(16)
    if header.startswith(b"PROXY"):
        while not header.endswith(b"\r\n"):
            header += peer.read(1)
    else:
        header += peer.read(int.from_bytes(header[14:16]))
    for count, _ in enumerate(peer.requests(is_peer_trusted=True)):
        body = json.dumps({"header": header.hex(), "count": count}).encode()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class TestBehind:
    def test_each_connection_of_a_client_has_its_own_to_the_server(
        self, tmp_path: Path, authority: Authority, localhost: CertificateFiles
    ) -> None:
        with scripted(raw_header) as server:
            upstreams = {
                name: Upstream((server.url,), f'send_proxy_protocol = "{name}"\nconnections = 1')
                for name in ("v1", "v2")
            }
            with site(tmp_path, authority, localhost, upstreams) as running:
                for version in ("v1", "v2"):
                    urls = [running.url(f"/{version}"), running.url(f"/{version}")]
                    seen = []
                    for source in (CLIENT, "127.0.0.8", CLIENT):
                        done = running.curl("--interface", source, "-w", "\n", urls[0], url=urls[1])
                        first, second = (json.loads(line) for line in body_of(done).decode().split("\n") if line)
                        assert (first["count"], second["count"]) == (0, 1)
                        assert first["header"] == second["header"]
                        seen.append(bytes.fromhex(first["header"]))
                    if version == "v1":
                        assert [header.split()[2] for header in seen] == [b"127.0.0.7", b"127.0.0.8", b"127.0.0.7"]
                        assert seen[0].split()[3] == b"127.0.0.1"
                        assert seen[0].split()[5] == str(running.port()).encode()
                    else:
                        assert [header[16:20] for header in seen] == [b"\x7f\0\0\7", b"\x7f\0\0\x08", b"\x7f\0\0\7"]
                    assert len(set(seen)) == 3  # of the same client, too: its port differs

    @pytest.mark.parametrize("version", ["v1", "v2"])
    def test_nginx_and_haproxy_read_what_we_write(
        self, tmp_path: Path, authority: Authority, localhost: CertificateFiles, version: str
    ) -> None:
        tlvs = ["authority", "alpn", "ssl_version", "ssl_cipher", "ssl_verify", "ssl_0x26"]
        fields = " ".join(f"$proxy_protocol_tlv_{name}" for name in tlvs)
        said = f'return 200 "$proxy_protocol_addr $proxy_protocol_server_port {fields}";'
        ports = {name: lasting_port() for name in ("clear", "tls", "haproxy")}
        http = (
            f"server {{ listen 127.0.0.1:{ports['clear']} proxy_protocol;"
            f" listen 127.0.0.1:{ports['tls']} ssl proxy_protocol;"
            f" ssl_certificate {localhost.certificate}; ssl_certificate_key {localhost.key}; location / {{ {said} }} }}"
        )
        text = (
            f"frontend behind\n  mode http\n  bind 127.0.0.1:{ports['haproxy']} accept-proxy\n"
            '  http-request return status 200 content-type text/plain lf-string "%[src] %[dst_port] %[fc_pp_authority]"\n'
        )
        header = f'send_proxy_protocol = "{version}"\n[upstream.{{}}.health]\npath = "/"\ninterval = "100ms"'
        upstreams = {
            "nginx": Upstream((f"http://127.0.0.1:{ports['clear']}",), header.format("nginx")),
            "secure": Upstream(
                (f"https://localhost:{ports['tls']}",), f'ca = "{authority.path}"\n' + header.format("secure")
            ),
            "haproxy": Upstream((f"http://127.0.0.1:{ports['haproxy']}",), header.format("haproxy")),
        }
        with (
            nginx(tmp_path, ports["clear"], http=http),
            haproxy(tmp_path, text, ports["haproxy"]),
            site(tmp_path, authority, localhost, upstreams) as running,
        ):
            told = {
                name: body_of(running.curl("--http2", "--interface", CLIENT, path=f"/{name}")).decode().split()
                for name in upstreams
            }
            tls = ["localhost", "h2", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "1", "X25519MLKEM768"]
            expected = [CLIENT, str(running.port())]
            for name in ("nginx", "secure"):
                assert told[name][:2] == expected
                assert told[name][2:] == (tls if version == "v2" else [])
            assert told["haproxy"] == expected + (["localhost"] if version == "v2" else [])
            status = running.command("status", "--json")
            assert status.returncode == 0
            servers = [one for upstream in json.loads(status.stdout)["upstreams"] for one in upstream["servers"]]
            assert [one["states"] for one in servers] == [{"up": 1}] * 3


def test_tcp_listeners_take_headers_and_tell_their_servers(
    tmp_path: Path, authority: Authority, localhost: CertificateFiles
) -> None:
    del localhost
    seen: list[bytes] = []

    def echo(peer: Peer) -> None:
        header = peer.read(16)
        header += peer.read(int.from_bytes(header[14:16]))
        seen.append(header)
        if header[12] == 0x21:  # not a health check
            peer.send(peer.read(4))

    with scripted(echo) as server:
        tables = tcp_listener(
            server.url.replace("http:", "tcp:"), proxy_protocol="require", trusted_peers=["127.0.0.1"]
        )
        tables += 'send_proxy_protocol = "v2"\n[upstream.irc.health]\ninterval = "100ms"\n'
        with relaying(tmp_path, authority, authority.issue("irc", NAMES), tables) as running:
            sock = socket.create_connection(("127.0.0.1", running.port("irc")), timeout=10)
            sock.sendall(b"PROXY TCP6 2001:db8::7 2001:db8::2 56324 6697\r\n")
            context = ssl.create_default_context(cafile=str(authority.path))
            with context.wrap_socket(sock, server_hostname="irc.test") as client:
                client.sendall(b"PING")
                assert client.recv(4) == b"PING"
            (line,) = ended(running, listener="irc")
            assert line["client"] == "2001:db8::7"
    told = next(header for header in seen if header[12] == 0x21)
    assert told[13] == 0x21
    assert told[16:32] == bytes.fromhex("20010db8000000000000000000000007")
    assert told[48:52] == (56_324).to_bytes(2) + (6_697).to_bytes(2)
    assert b"X25519MLKEM768" in told
    assert b"irc.test" in told
    assert {header[12] for header in seen} == {0x20, 0x21}
