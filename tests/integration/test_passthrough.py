"""TLS that is passed on by the name that the client asks for: the server's own TLS ends it."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from hashlib import sha256

import pytest

from proxy.tls.openssl import libssl
from tests.certificates import Authority
from tests.hostile.segments import Segments
from tests.integration.admin import found
from tests.integration.nginx_backend import NGINX, Nginx, nginx
from tests.integration.relays import NAMES, SECONDS, connected, ended, relaying, tcp_listener
from tests.integration.stage import Site
from tests.integration.test_tls_split_hello import across_borders, one_byte_segments, records_of
from tests.integration.upstreams import scripted
from tests.ports import lasting_port

pytestmark = pytest.mark.skipif(NGINX is None, reason="apt-get install nginx (./dev test does)")
PASSED = "turn.test"
# the random of a HelloRetryRequest (RFC 8446 section 4.1.3)
RETRY = sha256(b"HelloRetryRequest").digest()


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Nginx]:
    files = authority.issue("passed", (PASSED, "*.media.test"))
    with nginx(tmp_path_factory.mktemp("nginx"), files) as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority, backend: Nginx) -> Iterator[Site]:
    server = f"tcp://127.0.0.1:{backend.tls}"
    passed = {PASSED: server, "*.media.test": server, "gone.test": f"tcp://127.0.0.1:{lasting_port()}"}
    lines = ", ".join(f"{json.dumps(name)} = {json.dumps(at)}" for name, at in passed.items())
    with scripted(lambda peer: peer.send(b"irc\n")) as irc:
        tables = tcp_listener(irc.url.replace("http:", "tcp:"))
        tables = tables.replace("[upstream.irc]", f"passthrough = {{ {lines} }}\n[upstream.irc]")
        with relaying(tmp_path_factory.mktemp("passed"), authority, authority.issue("irc", NAMES), tables) as running:
            yield running


def fetched(site: Site, name: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """What curl gets from nginx through the proxy."""
    port = site.port("irc")
    connect = ["--connect-to", f"{name}:{port}:127.0.0.1:{port}"]
    command = ["curl", "-sSv", "--noproxy", "*", "--cacert", str(site.ca), *connect, *arguments]
    return subprocess.run([*command, f"https://{name}:{port}/nginx/big"], capture_output=True, timeout=30, check=False)


@pytest.mark.parametrize("name", [PASSED, "a.media.test"])
def test_curl_ends_at_nginx(site: Site, name: str) -> None:
    done = fetched(site, name)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == bytes(range(256)) * 20_000
    assert b"X25519MLKEM768" in done.stderr
    (line,) = ended(site, name=name)
    assert line["groups"][0] == "X25519MLKEM768"
    assert line["bytes_out"] > len(done.stdout)
    assert line["listener"] == "irc"


def test_tls_1_2_is_passed_on_too(site: Site) -> None:
    done = fetched(site, "old.media.test", "--tls-max", "1.2")
    assert done.returncode == 0, done.stderr.decode()
    assert b"TLSv1.2" in done.stderr
    assert ended(site, name="old.media.test", groups=[])


# The second client sends a share of P-521 alone, and nginx prefers the other group: it asks again.
@pytest.mark.parametrize("groups", ["X25519MLKEM768", "*P-521:X25519MLKEM768"], ids=["direct", "after_retry"])
@pytest.mark.parametrize(
    "pieces", [one_byte_segments, across_borders, None], ids=["octets", "borders", "small_records"]
)
def test_hello_in_pieces_arrives_as_it_was_sent(site: Site, groups: str, pieces: object) -> None:
    received = bytearray()
    context = ssl.create_default_context(cafile=str(site.ca))
    libssl.set_groups(context, groups)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="pieces.media.test")
    with socket.create_connection(("127.0.0.1", site.port("irc")), timeout=SECONDS) as sock:
        is_first = True
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                data = outgoing.read()
                if is_first and data:
                    is_first = False
                    cut = pieces(data) if callable(pieces) else [records_of(300, data)]
                    with Segments(sock) as segments:
                        segments.send(cut)
                elif data:
                    sock.sendall(data)
                answer = sock.recv(65_536)
                received += answer
                incoming.write(answer)
            else:
                break
        tls.write(b"GET /nginx/small HTTP/1.0\r\nHost: turn.test\r\n\r\n")
        sock.sendall(outgoing.read())
        answer = b""
        while not answer.endswith(b"small"):
            try:
                answer += tls.read(65_536)
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(65_536))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert (RETRY in received) is (groups.startswith("*"))


def test_other_names_are_opened(site: Site) -> None:
    with connected(site) as client:
        assert client.recv(4) == b"irc\n"
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        connected(site, "x.a.media.test")
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        connected(site, None)


def test_server_that_is_down_is_a_reset(site: Site) -> None:
    with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
        connected(site, "gone.test")
    (line,) = ended(site, name="gone.test")
    assert (line["reason"], line["server"]) == ("no_server", None)


def test_offered_groups_are_counted(site: Site) -> None:
    def count() -> dict[str, float]:
        several = site.admin.metrics()
        return {
            group: found(several, "plexigate_passthrough_groups_total", group=group)
            for group in ("X25519MLKEM768", "X25519", "secp256r1")
        }

    before = count()
    for offered in ("X25519MLKEM768:X25519", "X25519"):
        assert fetched(site, "counted.media.test", "--curves", offered).returncode == 0
    after = count()
    assert {group: after[group] - before[group] for group in before} == {
        "X25519MLKEM768": 1,
        "X25519": 2,
        "secp256r1": 0,
    }
