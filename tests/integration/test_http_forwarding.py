"""What a server learns about the client: from the proxy, never from what a client made up."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Address, Client
from tests.hostile.strict import Message
from tests.integration.balancers import haproxy
from tests.integration.limited import answering_all
from tests.integration.stage import Site, Upstream, body_of, request, site
from tests.integration.upstreams import OK, Peer, scripted
from tests.ports import lasting_port
from tests.programs import PLEXIGATE

CLAIMS = (
    "X-Forwarded-For: 198.51.100.1",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: evil.test",
    "Forwarded: for=198.51.100.1;proto=http",
    "X-Real-IP: 198.51.100.1",
    "X-Request-Id: theirs",
    "X-TLS-Group: made-up",
)

BALANCER, STRANGER = "127.0.0.1", "127.0.0.7"
GUARDED = {
    "inside": f'allow = ["{BALANCER}"]',
    "outside": f'deny = ["{STRANGER}"]',
    "rated": 'rate = { requests_per_second = 0.001, burst = 2, per = "client" }',
    "private": 'basic_auth = { file = "admins.users" }',
}
"""The routes behind HAProxy."""

GUESSES_PER_SECOND = 0.5
"""More passwords that are tried for a client, beyond the ten at once (`auth.rules`)."""

LISTENERS = """
[listener.public]
bind = "127.0.0.1:0"

[listener.behind]
bind = "127.0.0.1:0"
trusted_peers = ["127.0.0.0/8"]

[listener.standard]
bind = "127.0.0.1:0"
trusted_peers = ["127.0.0.0/8", "10.0.0.0/8"]
client_address_from = "forwarded"

[listener.six]
bind = "[::1]:0"
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the upstream's socket is."""
    return tmp_path_factory.mktemp("forwarding")


@pytest.fixture(scope="module")
def proxy(directory: Path, authority: Authority, localhost: CertificateFiles) -> Iterator[Site]:
    """A proxy with a listener for everybody, one for trusted peers, and one for IPv6."""
    upstreams = {"raw": Upstream((f"unix:{directory / 'raw.sock'}",), path="/")}
    with site(directory, authority, localhost, upstreams, LISTENERS) as running:
        yield running


class Seen:
    """What the server saw and the client got."""

    def __init__(self, proxy: Site, directory: Path) -> None:
        self._proxy = proxy
        self._path = directory / "raw.sock"

    def ask(self, data: bytes, listener: str = "public") -> tuple[Message, Message]:
        """Send a request; returns it as the server saw it, and the response."""
        requests: list[Message] = []

        def script(peer: Peer) -> None:
            requests.append(peer.read_request(is_peer_trusted=listener != "public"))
            peer.send(OK)
            peer.read_to_end()

        address = Address(self._proxy.port(listener), self._proxy.ca)
        with scripted(script, self._path), Client(address, "localhost") as client:
            client.send(data)
            answer = client.read_response()
        assert answer.status == 200
        return requests[0], answer

    def ask_over_six(self) -> Message:
        """Ask over IPv6, by curl."""
        requests: list[Message] = []

        def script(peer: Peer) -> None:
            requests.append(peer.read_request(is_peer_trusted=True))
            peer.send(OK)
            peer.read_to_end()

        with scripted(script, self._path):
            assert body_of(self._proxy.curl("--connect-to", f"::[::1]:{self._proxy.port('six')}")) == b"ok"
        return requests[0]


@pytest.fixture
def seen(proxy: Site, directory: Path) -> Seen:
    """A server that records."""
    return Seen(proxy, directory)


class TestUntrusted:
    """Everybody, unless the configuration says otherwise."""

    def test_server_is_told_who_asks_and_how(self, seen: Seen, proxy: Site) -> None:
        got, _ = seen.ask(request(start="GET /a?b=c HTTP/1.1"))
        assert got.target == "/a?b=c"
        assert got.values("Host") == ["localhost"]
        assert got.values("X-Forwarded-For") == ["127.0.0.1"]
        assert got.values("X-Forwarded-Proto") == ["https"]
        assert got.values("X-Forwarded-Host") == ["localhost"]
        assert got.values("Forwarded") == ['for=127.0.0.1;proto=https;host="localhost"']
        (name,) = got.values("Via")
        assert re.fullmatch("1\\.1 plexigate-[0-9a-f]{16}", name)
        assert got.values("X-TLS-Group") == ["X25519MLKEM768"]
        (identifier,) = got.values("X-Request-Id")
        assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]+", identifier)
        assert proxy.record("/a")["request_id"] == identifier

    def test_port_of_the_host_is_kept(self, seen: Seen) -> None:
        data = request().replace(b"Host: localhost", b"Host: LOCALHOST:8443")
        got, _ = seen.ask(data)
        assert got.values("Host") == ["LOCALHOST:8443"]
        assert got.values("X-Forwarded-Host") == ["LOCALHOST:8443"]

    def test_what_a_client_made_up_is_removed(self, seen: Seen) -> None:
        got, _ = seen.ask(request(*CLAIMS, "X_Forwarded_For: 198.51.100.1", "Proxy: http://evil.test"))
        text = json.dumps([[name.decode(), value.decode()] for name, value in got.headers])
        assert "198.51.100.1" not in text
        assert "evil.test" not in text
        assert "theirs" not in text
        assert got.values("X-TLS-Group") == ["X25519MLKEM768"]

    def test_fields_of_ours_cannot_be_named_away(self, seen: Seen) -> None:
        got, _ = seen.ask(request("Connection: X-Forwarded-For, X-Request-Id, X-Mine", "X-Mine: 1", "X-Kept: 1"))
        assert got.values("X-Forwarded-For") == ["127.0.0.1"]
        assert len(got.values("X-Request-Id")) == 1
        assert (got.values("X-Mine"), got.values("X-Kept")) == ([], ["1"])

    def test_request_id_is_the_same_for_server_and_client(self, seen: Seen) -> None:
        got, answer = seen.ask(request())
        assert answer.values("X-Request-Id") == got.values("X-Request-Id")
        other, _ = seen.ask(request())
        assert other.values("X-Request-Id") != got.values("X-Request-Id")

    def test_address_of_ipv6_is_written_as_each_field_has_it(self, seen: Seen, proxy: Site) -> None:
        got = seen.ask_over_six()
        assert got.values("X-Forwarded-For") == ["::1"]
        assert got.values("Forwarded") == [f'for="[::1]";proto=https;host="localhost:{proxy.port()}"']

    def test_via_tells_the_version_of_the_client(self, seen: Seen) -> None:
        got, _ = seen.ask(request("Via: 1.0 earlier", start="GET / HTTP/1.0"))
        earlier, ours = got.values("Via")
        assert (earlier, ours.partition("-")[0]) == ("1.0 earlier", "1.0 plexigate")


class TestTrusted:
    """A peer in front of us whose word counts: a load balancer."""

    def test_its_claims_are_extended(self, seen: Seen) -> None:
        got, answer = seen.ask(request(*CLAIMS), "behind")
        assert got.values("X-Forwarded-For") == ["198.51.100.1, 127.0.0.1"]
        assert got.values("X-Forwarded-Proto") == ["http"]
        assert got.values("X-Forwarded-Host") == ["evil.test"]
        assert got.values("Forwarded") == ['for=198.51.100.1;proto=http, for=127.0.0.1;proto=https;host="localhost"']
        assert got.values("X_Forwarded_For") == []
        assert got.values("X-Real-IP") == ["198.51.100.1"]
        assert got.values("X-Request-Id") == answer.values("X-Request-Id") == ["theirs"]
        assert got.values("X-TLS-Group") == ["X25519MLKEM768"], "the group is that of our own handshake"

    def test_field_that_the_listener_names_is_the_one_that_counts(self, seen: Seen, proxy: Site) -> None:
        lines = ('Forwarded: for="6.6.6.6, for="[2001:db8::7]:80";proto=https', "Forwarded: for=10.0.0.1")
        got, _ = seen.ask(request("X-Forwarded-For: 6.6.6.6", *lines, start="GET /standard HTTP/1.1"), "standard")
        assert got.values("X-Forwarded-For") == ["2001:db8::7, 10.0.0.1, 127.0.0.1"]
        believed = 'for="[2001:db8::7]:80";proto=https, for=10.0.0.1'
        assert got.values("Forwarded") == [f'{believed}, for=127.0.0.1;proto=https;host="localhost"']
        line = proxy.record("/standard")
        assert (line["client"], line["peer"]) == ("2001:db8::7", "127.0.0.1")

    def test_log_names_the_peer_only_beside_another_client(self, seen: Seen, proxy: Site) -> None:
        seen.ask(request("X-Forwarded-For: 198.51.100.9", start="GET /claimed HTTP/1.1"), "public")
        assert "peer" not in proxy.record("/claimed")
        assert proxy.record("/claimed")["client"] == "127.0.0.1"

    @pytest.mark.parametrize("value", ["", "two words", "a" * 129, 'quo"te'])
    def test_insane_request_id_is_made_anew(self, seen: Seen, value: str) -> None:
        got, _ = seen.ask(request(f"X-Request-Id: {value}"), "behind")
        (identifier,) = got.values("X-Request-Id")
        assert identifier != value

    def test_peer_without_claims_is_the_client(self, seen: Seen) -> None:
        got, _ = seen.ask(request(), "behind")
        assert got.values("X-Forwarded-For") == ["127.0.0.1"]


# -- an untrusted client asks a stock balancer to take away what it says of the untrusted client


@pytest.fixture(scope="module")
def balanced(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[tuple[Site, int]]:
    """A proxy that trusts HAProxy and exempts it, and the port of HAProxy."""
    directory, port = tmp_path_factory.mktemp("balanced"), lasting_port()
    made = subprocess.run([PLEXIGATE, "password", "ada"], input=b"correct horse\n", capture_output=True, check=True)
    users = directory / "admins.users"
    users.touch(0o600)
    users.write_bytes(made.stdout)
    listener = f'[listener.public]\nbind = "127.0.0.1:0"\ntrusted_peers = ["{BALANCER}"]\nexempt = ["{BALANCER}"]\n'
    with scripted(answering_all) as server:
        upstreams = {name: Upstream((server.url,), route=route) for name, route in GUARDED.items()}
        with site(directory, authority, localhost, upstreams, listener) as running:
            text = (
                f"listen front\n  mode http\n  option forwardfor\n  bind 127.0.0.1:{port}\n"
                f"  http-request set-header Host localhost\n"
                f"  server plexigate 127.0.0.1:{running.port()} ssl verify none sni str(localhost)\n"
            )
            with haproxy(directory, text, port):
                yield running, port


def statuses(balanced: tuple[Site, int], path: str, *options: str, count: int = 1) -> list[str]:
    """How an untrusted client is answered who asks so many times for a path."""
    urls = [f"http://127.0.0.1:{balanced[1]}{path}"] * count
    named = ("--header", "Connection: close, X-Forwarded-For", "--interface", STRANGER)
    command = ["curl", "--silent", "--noproxy", "*", "--write-out", "\n%{http_code}\n", *named, *options, *urls]
    found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return re.findall(r"^[0-9]{3}$", found.stdout, re.MULTILINE)


def test_the_stranger_stays_who_it_is_for_every_rule(balanced: tuple[Site, int]) -> None:
    assert statuses(balanced, "/inside") == ["403"]
    assert statuses(balanced, "/outside") == ["403"]
    assert statuses(balanced, "/rated", count=6) == ["200"] * 2 + ["429"] * 4
    began = time.monotonic()
    guessed = statuses(balanced, "/private", "--user", "ada:wrong", count=30)
    at_most = 10 + GUESSES_PER_SECOND * (time.monotonic() - began)
    assert guessed[:10] == ["401"] * 10
    assert guessed.count("401") <= at_most
    assert set(guessed) == {"401", "429"}
    records = balanced[0].records("/rated", 6)
    assert {(one["client"], one["peer"]) for one in records} == {(STRANGER, BALANCER)}


def test_what_the_balancer_asks_for_itself_passes_no_list_and_counts_for_it(balanced: tuple[Site, int]) -> None:
    running, _ = balanced
    shown = ("--output", "/dev/null", "--write-out", "%{http_code}")
    assert [running.curl(*shown, path=path).stdout for path in ("/inside", "/outside")] == [b"403"] * 2
    assert [running.curl(*shown, path="/rated/health").stdout for _ in range(3)] == [b"200", b"200", b"429"]
