"""Each reason to refuse or to give up, reached by a real client, and counted where monitoring reads it: over all workers."""

import resource
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from proxy.limits.reasons import ConnectionReason, RequestReason
from proxy.tls.handshake.results import FailureReason
from proxy.tls.openssl import libssl
from tests.certificates import DAY, Authority, CertificateFiles
from tests.client_authorities import ClientAuthority
from tests.configurations import identity
from tests.hostile.client import Address, Client, End, Records, logging_context
from tests.integration.limited import Limited, is_closed, listener
from tests.integration.stage import Upstream, request, serving, write_configuration
from tests.integration.upstreams import OK, Peer, scripted
from tests.ports import lasting_port
from tests.proxy.tls import hellos
from tests.soak.attacks.silent import hello
from tests.waiting import until_found

OTHER = "127.0.0.2"
# The kernel spreads so many connections over both workers, but for a chance of 2**-23.
MANY = 24
# Descriptors of a worker that it soon has none of.
FEW = 64
MUCH_MEMORY, LITTLE_MEMORY = "memory_bytes = 68_719_476_736", "memory_bytes = 33_554_432"
HIGH_RATE, LOW_RATE = "response_bytes_per_second = 4_000_000", "response_bytes_per_second = 240"
RATE = 'rate = {{ requests_per_second = 0.001, burst = {}, per = "client" }}'
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


ITSELF: Final = "the address of the upstream that leads back"
CONFIGURATION: Final = (
    listener("public")
    + listener("few", connections=2)
    + listener("few_each", connections_per_address=2)
    + listener("few_at_once", handshakes_in_flight=2)
    + listener("rarely", handshakes_per_second_per_address=0.001, handshake_burst_per_address=2)
    + listener("slowly", 'groups = [["ffdhe8192"]]', slow_groups_rate=0.001, slow_groups_burst=1)
    + listener("impatient", handshake_timeout="300ms")
    + listener("strict", 'pq = "require"')
    + listener("high", 'level = "high"')
    + listener(
        "trusting",
        f'exempt = ["{OTHER}"]',
        connections_per_address=2,
        handshakes_per_second_per_address=0.001,
        handshake_burst_per_address=2,
    )
    + listener("behind", f'proxy_protocol = "require"\ntrusted_peers = ["{OTHER}"]')
    + listener("many_each", connections_per_address=MANY)
    + f'[listener.itself]\nbind = "{ITSELF}"\n'
    + listener("many_at_first", handshakes_per_second_per_address=0.001, handshake_burst_per_address=MANY)
    + f"""
[limits]
{MUCH_MEMORY}
handshakes_per_address = 1_000
head_bytes = 1_024
header_bytes = 512
target_bytes = 64
body_bytes = 100
head_timeout = "300ms"
body_idle_timeout = "500ms"
write_idle_timeout = "500ms"
{HIGH_RATE}
[payload]
directory = "rings"
[payload.ring.chat]
"""
)


ISSUER, STRANGER = ClientAuthority("Bots"), ClientAuthority("Strangers")


def asking(directory: Path, authority: Authority) -> str:
    """Identities that ask for certificates, in three ways; `directory` gets those of clients."""
    for name, files in (
        ("known", ISSUER.issue(directory, "known")),
        ("revoked", ISSUER.issue(directory, "revoked")),
        ("foreign", STRANGER.issue(directory, "foreign")),
        ("expired", ISSUER.issue(directory, "expired", valid=(-2 * DAY, -DAY))),
        ("server", ISSUER.issue(directory, "server", purposes=[ExtendedKeyUsageOID.SERVER_AUTH])),
    ):
        files.certificate.rename(directory / f"{name}.pem")
        files.key.rename(directory / f"{name}.key")
    revoked = x509.load_pem_x509_certificate((directory / "revoked.pem").read_bytes())
    (directory / "bots.pem").write_bytes(ISSUER.pem)
    (directory / "current.crl").write_bytes(ISSUER.revocations(revoked))
    (directory / "stale.crl").write_bytes(ISSUER.revocations(valid=(-2 * DAY, -DAY)))
    text = ""
    for name, settings in (
        ("current", 'crl = "current.crl"'),
        ("stale", 'crl = "stale.crl"'),
        ("optional", 'mode = "optional"'),
    ):
        text += identity(name, (f"{name}.test",), authority.issue(name, (f"{name}.test",)))
        text += f'[identity.{name}.client_certificates]\nca = "bots.pem"\n{settings}\n'
    return text + '[[route]]\nhost = "optional.test"\nupstream = "chat"\nclient_certificate = "require"\n'


def page(directory: Path, authority: Authority) -> str:
    """An identity with the admin page, whose tokens are in `directory`."""
    tokens = directory / "page.tokens"
    tokens.touch(0o600)
    tokens.write_text("0123456789abcdef" * 4)
    text = identity("page", ("page.test",), authority.issue("page", ("page.test",)))
    return text + '[[route]]\nhost = "page.test"\nadmin_page = { tokens = "page.tokens" }\n'


def play(peer: Peer) -> None:
    """Answer as the path asks for."""
    peer.sock.settimeout(None)
    while True:
        message = peer.read_request(is_peer_trusted=True)
        match message.target:
            case "/chat/large":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
                while True:
                    peer.send(bytes(100_000))
            case "/chat/slow":
                peer.read_to_end()
            case "/chat/socket" | "/sockets":
                peer.send(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
                )
                peer.read_to_end()
            case "/denied":
                peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            case _:
                peer.send(OK)


@pytest.fixture(scope="module")
def limited(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[Limited]:
    """A proxy with two workers; whoever changes it changes it back."""
    port = lasting_port()
    with scripted(play) as server:
        upstreams = {
            "chat": Upstream((server.url,)),
            "rated": Upstream((server.url,), route=RATE.format(2)),
            "many": Upstream((server.url,), route=RATE.format(MANY)),
            "safe": Upstream((server.url,), route='pq = "require"'),
            "posted": Upstream((server.url,), route='methods = ["POST"]\nquery = { v = "1" }'),
            "distant": Upstream((server.url,), route='allow = ["192.0.2.0/24"]'),
            "sealed": Upstream((server.url,), route='payload = "require"\npayload_ring = "chat"'),
            "gone": Upstream((f"http://127.0.0.1:{lasting_port()}",)),
            "closed": Upstream((server.url,)),
            "around": Upstream((f"https://localhost:{port}",), f'ca = "{authority.path}"'),
            "sockets": Upstream((server.url,), settings="websockets = 1"),
            "denied": Upstream((server.url,), route='auth = { upstream = "chat", path = "/denied" }'),
            "unjudged": Upstream((server.url,), route='auth = { upstream = "gone" }'),
        }
        directory = tmp_path_factory.mktemp("limits")
        extra = (
            CONFIGURATION.replace(ITSELF, f"127.0.0.1:{port}")
            + asking(directory, authority)
            + page(directory, authority)
        )
        extra = f'admin.page_socket = "{directory}/page.sock"\n{extra}'
        configuration = write_configuration(directory, localhost, upstreams, extra, workers=2)
        with serving(configuration, authority) as running:
            yield Limited(running)


def count(limited: Limited, listener: str, reason: str) -> int:
    """How often it was counted, in both workers together."""
    return limited.site.admin.failures().get((listener, reason), 0)


def in_use(client: Client) -> Client:
    """A connection that makes room for nobody: it is a WebSocket with messages."""
    assert opens(client, "/chat/socket") == 101
    client.send(b"\x81\x82\0\0\0\0hi")
    return client


def opens(client: Client, path: str) -> int:
    """The status of the answer to a WebSocket."""
    client.send(request(*UPGRADE, start=f"GET {path} HTTP/1.1"))
    return client.read_response().status


def asks(client: Client, path: str) -> int:
    """The status of a request."""
    client.send(request(start=f"GET {path} HTTP/1.1"))
    return client.read_response().status


Driver = Callable[[Limited], Iterator[int]]
"""Brings it about and gives the number of times, where the clients stay until it was counted."""
DRIVERS: Final[dict[StrEnum, tuple[str, Driver]]] = {}
# How often these are met depends on how long it takes.
AT_LEAST: Final = {
    ConnectionReason.OUT_OF_DESCRIPTORS,
    ConnectionReason.OUT_OF_MEMORY,
    ConnectionReason.SHED_IDLE,
    ConnectionReason.SHED_SILENT,
    ConnectionReason.SHED_TUNNEL,
    ConnectionReason.SHED_UNFINISHED,
}


def drives(reason: StrEnum, listener: str = "public") -> Callable[[Driver], Driver]:
    """Register who brings a reason about, and on which listener."""

    def register(driver: Driver) -> Driver:
        DRIVERS[reason] = listener, driver
        return driver

    return register


# Only a token that fails drives them: test_hsm_failover, and the races of tests/proxy/tls.
OF_TOKENS: Final = {FailureReason.SIGNING_UNAVAILABLE, FailureReason.SIGNING_BUSY, FailureReason.SIGNING_TIMEOUT}
# Only handshakes that wait for us are refused for the sake of others: test_room, test_listener.
OF_WAITING: Final = {ConnectionReason.HANDSHAKES_IN_FLIGHT, FailureReason.HANDSHAKES_PER_ADDRESS}
# Only a client of HTTP/2 drives them, and no listener serves it yet: tests/proxy/http2/wire/test_causes.
OF_HTTP_2: Final = {one for one in ConnectionReason if one.startswith("http2_")}
# Only a client of HTTP/3 drives them: tests/hostile/test_quic_floods.
OF_HTTP_3: Final = {FailureReason.QUIC_ERROR} | {one for one in ConnectionReason if one.startswith("http3_")}
# Only a crowd drives it that takes up a server, the memory and the spool: tests/hostile/test_slow_readers.
OF_CROWDS: Final = {RequestReason.READER_DISPLACED}
NOT_DRIVEN: Final = OF_TOKENS | OF_WAITING | OF_HTTP_2 | OF_HTTP_3 | OF_CROWDS
REASONS: Final = [one for one in (*ConnectionReason, *RequestReason, *FailureReason) if one not in NOT_DRIVEN]


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_is_counted(limited: Limited, reason: StrEnum) -> None:
    listener, driver = DRIVERS[reason]  # a new reason needs a driver
    before = count(limited, listener, reason)
    with contextmanager(driver)(limited) as times:
        until_found(lambda: count(limited, listener, reason) >= before + times)
    after = count(limited, listener, reason)
    assert after == before + times or (reason in AT_LEAST and after > before)


# -- connections


@drives(ConnectionReason.CONNECTIONS, "few")
def connections(limited: Limited) -> Iterator[int]:
    with in_use(limited.connect(listener="few")), in_use(limited.connect(OTHER, "few")):
        assert [limited.refuses(listener="few"), limited.refuses(OTHER, "few")] == [True, True]
        yield 2


@drives(ConnectionReason.CONNECTIONS_PER_ADDRESS, "few_each")
def connections_per_address(limited: Limited) -> Iterator[int]:
    with in_use(limited.connect(listener="few_each")), in_use(limited.connect(listener="few_each")):
        assert [limited.refuses(listener="few_each") for _ in range(3)] == [True] * 3
        with limited.connect(OTHER, "few_each") as other:
            assert asks(other, "/chat/x") == 200
        yield 3


def served_beside_those_who_wait(limited: Limited, stack: ExitStack) -> None:
    """Serve three clients where handshakes are full, then let a fourth one stay in its handshake.

    A worker ends only its own connections. One that has none to end admits a client beyond the
    limit, for what the other worker can spare. The other one ends its surplus at its next look.
    If the client has been served by then, no surplus is left. The client that stays keeps it there.
    """
    for source in ("", OTHER, ""):
        with limited.connect(source, "few_at_once") as client:
            assert asks(client, "/chat/x") == 200
    stack.enter_context(limited.tcp(OTHER, "few_at_once"))


@drives(ConnectionReason.SHED_SILENT, "few_at_once")
def shed_silent(limited: Limited) -> Iterator[int]:
    """Clients that have sent nothing make room for others, whichever worker has them."""
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(limited.tcp(listener="few_at_once"))
        served_beside_those_who_wait(limited, stack)
        yield 1


@drives(ConnectionReason.SHED_UNFINISHED, "few_at_once")
def shed_unfinished(limited: Limited) -> Iterator[int]:
    """So do clients that sent a ClientHello and owe the rest of the handshake."""
    with ExitStack() as stack:
        for _ in range(2):
            sock = stack.enter_context(limited.tcp(listener="few_at_once"))
            sock.sendall(hello())
            assert sock.recv(10)
        served_beside_those_who_wait(limited, stack)
        yield 1


@drives(ConnectionReason.HANDSHAKE_RATE, "rarely")
def handshake_rate(limited: Limited) -> Iterator[int]:
    for _ in range(2):
        limited.connect(listener="rarely").sock.close()
    assert [limited.refuses(listener="rarely") for _ in range(3)] == [True] * 3
    limited.connect(OTHER, "rarely").sock.close()
    yield 3


@contextmanager
def few_descriptors(limited: Limited) -> Iterator[None]:
    """Let the workers have nearly none left."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in limited.site.worker_pids}
    for pid, (_, most) in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (FEW, most))
    try:
        yield
    finally:
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@drives(ConnectionReason.OUT_OF_DESCRIPTORS)
def out_of_descriptors(limited: Limited) -> Iterator[int]:
    with few_descriptors(limited), ExitStack() as stack:
        for _ in range(2 * FEW):
            stack.enter_context(limited.tcp())
        yield 1


@drives(ConnectionReason.SHED_IDLE)
def shed(limited: Limited) -> Iterator[int]:
    with limited.connect() as idle, few_descriptors(limited), ExitStack() as stack:
        assert asks(idle, "/chat/x") == 200
        for _ in range(2 * FEW):
            stack.enter_context(limited.tcp())
        assert idle.await_end() is End.CLEAN
        yield 1


@drives(ConnectionReason.SHED_TUNNEL, "few_each")
def shed_tunnel(limited: Limited) -> Iterator[int]:
    """A worker can close only those that it has, which here one of the two has at least."""
    before = count(limited, "few_each", ConnectionReason.SHED_TUNNEL)
    with limited.connect(OTHER, "few_each") as one, limited.connect(OTHER, "few_each") as other:
        assert [opens(one, "/chat/socket"), opens(other, "/chat/socket")] == [101, 101]

        def makes_room() -> bool:
            with limited.tcp(OTHER, "few_each") as more:
                is_closed(more)
            return count(limited, "few_each", ConnectionReason.SHED_TUNNEL) > before

        until_found(makes_room)
        yield 1


@drives(RequestReason.TOO_MANY_WEBSOCKETS)
def too_many_websockets(limited: Limited) -> Iterator[int]:
    """Each worker has one place with this server."""
    with ExitStack() as stack:
        while True:
            client = stack.enter_context(limited.connect())
            status = opens(client, "/sockets")
            if status == 503:
                break
            assert status == 101
            client.send(b"\x81\x82\0\0\0\0hi")
        yield 1


@contextmanager
def changed(limited: Limited, before: str, after: str) -> Iterator[None]:
    """Reload with another line in the configuration, and then with the old one."""
    path = limited.site.configuration
    text = path.read_text()
    assert before in text
    reload(limited, text.replace(before, after))
    try:
        yield
    finally:
        reload(limited, text)


def reload(limited: Limited, text: str) -> None:
    """Serve by another configuration."""
    limited.site.configuration.write_text(text)
    done = limited.site.command("reload")
    assert done.returncode == 0, done.stderr


@drives(ConnectionReason.OUT_OF_MEMORY)
def out_of_memory(limited: Limited) -> Iterator[int]:
    """The workers have less than they need by themselves."""
    with changed(limited, MUCH_MEMORY, LITTLE_MEMORY), limited.connect() as idle:
        assert idle.await_end() is End.CLEAN
        yield 1


@contextmanager
def crafted(limited: Limited) -> Iterator[tuple[Client, Records]]:
    """A connection whose records are made by hand."""
    with TemporaryDirectory() as directory:
        key_log = Path(directory) / "keys"
        with limited.connect(context=logging_context(limited.site.ca, key_log)) as client:
            yield client, Records.of_client(client, key_log)


@drives(ConnectionReason.RECORD_FLOOD)
def record_flood(limited: Limited) -> Iterator[int]:
    """KeyUpdates that are answered, and those that are not."""
    for wanted in (0, 1):
        with crafted(limited) as (client, records):
            client.send_raw(b"".join(records.key_update(wanted) for _ in range(600)))
            assert client.read_to_end() == b""
            assert client.end is End.ALERT
    yield 2


@drives(ConnectionReason.TLS_BROKEN)
def tls_broken(limited: Limited) -> Iterator[int]:
    with crafted(limited) as (client, records):
        client.send_raw(records.record(b"GET")[:-1] + b"?")
        assert client.read_to_end() == b""
    yield 1


# -- handshakes


def refused(limited: Limited, name: str = "localhost", listener: str = "public", **settings: str) -> None:
    """A handshake with these settings, which comes to nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(limited.site.ca)
    if "groups" in settings:
        libssl.set_groups(context, settings["groups"])
    if "suites" in settings:
        libssl.set_ciphersuites(context, settings["suites"])
    if "signatures" in settings:
        libssl.set_signature_algorithms(context, settings["signatures"])
    if "protocol" in settings:
        context.set_alpn_protocols([settings["protocol"]])
    if "version" in settings:
        context.maximum_version = ssl.TLSVersion[settings["version"]]
    with limited.tcp(listener=listener) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock, server_hostname=name)


@drives(FailureReason.NOT_TLS)
def not_tls(limited: Limited) -> Iterator[int]:
    with limited.tcp() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        yield 1


@drives(FailureReason.OLD_VERSION)
def old_version(limited: Limited) -> Iterator[int]:
    refused(limited, version="TLSv1_2")
    yield 1


@drives(FailureReason.MALFORMED_HELLO)
def malformed_hello(limited: Limited) -> Iterator[int]:
    with limited.tcp() as sock:
        sock.sendall(hellos.record(hellos.handshake(11, b"certificate?")))
        yield 1


@drives(FailureReason.UNRECOGNIZED_NAME)
def unrecognized_name(limited: Limited) -> Iterator[int]:
    refused(limited, "nobody.test")
    yield 1


@drives(FailureReason.NO_APPLICATION_PROTOCOL)
def no_application_protocol(limited: Limited) -> Iterator[int]:
    refused(limited, protocol="h3")
    yield 1


@drives(FailureReason.NO_COMMON_GROUP)
def no_common_group(limited: Limited) -> Iterator[int]:
    refused(limited, groups="MLKEM1024")
    yield 1


@drives(FailureReason.SLOW_GROUPS, "slowly")
def slow_groups(limited: Limited) -> Iterator[int]:
    context = ssl.create_default_context(cafile=str(limited.site.ca))
    libssl.set_groups(context, "ffdhe8192")
    limited.connect(listener="slowly", context=context).reset()
    refused(limited, listener="slowly", groups="ffdhe8192")
    yield 1


@drives(FailureReason.POLICY, "strict")
def policy(limited: Limited) -> Iterator[int]:
    refused(limited, listener="strict", groups="X25519")
    yield 1


@drives(FailureReason.TLS_ERROR)
def tls_error(limited: Limited) -> Iterator[int]:
    """A client that does not trust us."""
    with limited.tcp() as sock, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")
    yield 1


@drives(FailureReason.NO_COMMON_SUITE, "high")
def no_common_suite(limited: Limited) -> Iterator[int]:
    refused(limited, listener="high", suites="TLS_AES_128_GCM_SHA256")
    yield 1


@drives(FailureReason.NO_COMMON_SIGNATURE)
def no_common_signature(limited: Limited) -> Iterator[int]:
    refused(limited, signatures="rsa_pss_rsae_sha256")
    yield 1


def shows(reason: FailureReason, client: str, host: str = "current.test") -> None:
    """Register a client that shows a certificate, or none, and gets no connection."""

    def driver(limited: Limited) -> Iterator[int]:
        context = ssl.create_default_context(cafile=limited.site.ca)
        if client:
            directory = limited.site.configuration.parent
            context.load_cert_chain(directory / f"{client}.pem", directory / f"{client}.key")
        # the client's part of the handshake is over before the proxy judges it
        with limited.tcp() as sock, context.wrap_socket(sock, server_hostname=host) as tls, pytest.raises(ssl.SSLError):
            tls.recv(1)
        yield 1

    DRIVERS[reason] = "public", driver


shows(FailureReason.CLIENT_CERTIFICATE_MISSING, "")
shows(FailureReason.CLIENT_CERTIFICATE_UNTRUSTED, "foreign")
shows(FailureReason.CLIENT_CERTIFICATE_EXPIRED, "expired")
shows(FailureReason.CLIENT_CERTIFICATE_REVOKED, "revoked")
shows(FailureReason.CLIENT_CERTIFICATE_REFUSED, "server")
shows(FailureReason.CLIENT_REVOCATIONS_UNKNOWN, "known", "stale.test")


@drives(ConnectionReason.PROXY_SENDER, "behind")
def proxy_header_sender(limited: Limited) -> Iterator[int]:
    assert limited.refuses(listener="behind")
    yield 1


@drives(FailureReason.PROXY_HEADER, "behind")
def proxy_header(limited: Limited) -> Iterator[int]:
    with limited.tcp(OTHER, "behind") as sock:
        sock.sendall(hello())
        assert sock.recv(1) == b""
        yield 1


@drives(FailureReason.TIMEOUT, "impatient")
def handshake_timeout(limited: Limited) -> Iterator[int]:
    with limited.tcp(listener="impatient") as sock:
        assert sock.recv(100) == b""
        yield 1


@drives(FailureReason.CLIENT_LEFT)
def client_left(limited: Limited) -> Iterator[int]:
    limited.tcp().close()
    yield 1


# -- requests


def answered(reason: RequestReason, status: int, sent: bytes, listener: str = "public") -> None:
    """Register a driver that sends something and gets an answer with a status."""

    def driver(limited: Limited) -> Iterator[int]:
        with limited.connect() as client:
            client.send(sent)
            assert client.read_response().status == status
            yield 1

    DRIVERS[reason] = listener, driver


def post(*lines: str, body: bytes = b"") -> bytes:
    """Write a request with a body."""
    return request(*lines, start="POST /chat/x HTTP/1.1", body=body)


CHUNKED = "Transfer-Encoding: chunked"
answered(RequestReason.HEAD_TIMEOUT, 408, b"GET / HTTP/1.1\r\nHo")
answered(RequestReason.BODY_TIMEOUT, 408, post("Content-Length: 9"))
answered(RequestReason.HEAD_TOO_LARGE, 431, request("X: " + "x" * 600))
answered(RequestReason.TARGET_TOO_LONG, 414, request(start=f"GET /{'x' * 64} HTTP/1.1"))
answered(RequestReason.BODY_TOO_LONG, 413, post("Content-Length: 101"))
answered(RequestReason.MALFORMED_REQUEST, 400, b"GET  / HTTP/1.1\r\n\r\n")
answered(RequestReason.MALFORMED_BODY, 400, post(CHUNKED, body=b"z\r\n"))
answered(RequestReason.MISDIRECTED_HOST, 421, b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
answered(RequestReason.AMBIGUOUS_PATH, 400, request(start="GET /chat%2fx HTTP/1.1"))
answered(RequestReason.NO_ROUTE, 404, request())
answered(RequestReason.METHOD_NOT_ALLOWED, 405, request(start="GET /posted?v=1 HTTP/1.1"))
answered(RequestReason.AMBIGUOUS_CONDITION, 400, request(start="GET /posted?v=1&v=2 HTTP/1.1"))
answered(RequestReason.NETWORK_NOT_ALLOWED, 403, request(start="GET /distant HTTP/1.1"))
# asked once more, by the proxy itself: of whichever worker
answered(RequestReason.LOOP, 508, request(start="GET /around HTTP/1.1"), "itself")
answered(RequestReason.PAYLOAD, 415, request("Content-Length: 5", start="POST /sealed HTTP/1.1", body=b"plain"))
answered(RequestReason.UPSTREAM, 502, request(start="GET /gone HTTP/1.1"))
answered(RequestReason.AUTH, 403, request(start="GET /denied HTTP/1.1"))
answered(RequestReason.AUTH_FAILED, 502, request(start="GET /unjudged HTTP/1.1"))


@drives(RequestReason.CLIENT_CERTIFICATE_REQUIRED)
def client_certificate_required(limited: Limited) -> Iterator[int]:
    with Client(Address(limited.site.port(), limited.site.ca), "optional.test") as client:
        client.send(b"GET / HTTP/1.1\r\nHost: optional.test\r\n\r\n")
        assert client.read_response().status == 403
        yield 1


@drives(RequestReason.PAGE_TOKEN)
def wrong_token_of_the_page(limited: Limited) -> Iterator[int]:
    with Client(Address(limited.site.port(), limited.site.ca), "page.test") as client:
        client.send(b"GET / HTTP/1.1\r\nHost: page.test\r\nAuthorization: Bearer wrong\r\n\r\n")
        assert client.read_response().status == 401
        yield 1


@drives(RequestReason.MAINTENANCE)
def maintenance(limited: Limited) -> Iterator[int]:
    for word, status in (("on", 503), ("off", 200)):
        done = limited.site.command("maintenance", word, "localhost/closed")
        assert done.returncode == 0, done.stderr
        with limited.connect() as client:
            assert asks(client, "/closed") == status
    yield 1


@drives(RequestReason.RATE)
def request_rate(limited: Limited) -> Iterator[int]:
    with limited.connect() as client:
        assert [asks(client, "/rated") for _ in range(5)] == [200, 200, 429, 429, 429]
        yield 3


@drives(RequestReason.ROUTE_REQUIRES_PQ)
def route_requires_pq(limited: Limited) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(limited.site.ca)
    libssl.set_groups(context, "X25519")
    with limited.connect(context=context) as client:
        assert [asks(client, "/safe"), asks(client, "/chat/x")] == [403, 200]
        yield 1


@drives(RequestReason.BODY_TOO_SLOW)
def body_too_slow(limited: Limited) -> Iterator[int]:
    pause = threading.Event()
    with limited.connect() as client:
        client.send(post("Content-Length: 99"))
        for _ in range(24):
            pause.wait(0.05)  # never set: slowness is what is tried, and no piece may come late
            client.send(b"x")
        assert client.read_response().status == 408
        yield 1


@drives(RequestReason.READER_TIMEOUT)
def reader_timeout(limited: Limited) -> Iterator[int]:
    """What its kernel takes first is worth some time, at the end of which nothing has moved any more."""
    with changed(limited, HIGH_RATE, LOW_RATE), limited.connect(receive_bytes=16_384) as client:
        client.send(request(start="GET /chat/large HTTP/1.1"))
        yield 1


@drives(RequestReason.READER_TOO_SLOW)
def reader_too_slow(limited: Limited) -> Iterator[int]:
    pause = threading.Event()

    def ended() -> tuple[int, int]:
        slow, stopped = (
            count(limited, "public", one) for one in (RequestReason.READER_TOO_SLOW, RequestReason.READER_TIMEOUT)
        )
        return slow, stopped

    first = before = ended()
    # On a busy machine this process may take nothing for so long that it has stopped, and is not slow.
    while before[0] == first[0]:
        with limited.connect(receive_bytes=16_384) as client:
            client.send(request(start="GET /chat/large HTTP/1.1"))
            while (after := ended()) == before:
                client.sock.recv(5_000)
                pause.wait(0.05)  # never set: slowness is what is tried
        before = after
    yield 1


@drives(RequestReason.GIVEN_UP)
def given_up(limited: Limited) -> Iterator[int]:
    with limited.connect() as client:
        client.send(request(start="GET /chat/slow HTTP/1.1"))
        client.reset()
    yield 1


@drives(RequestReason.WEBSOCKET)
def websocket(limited: Limited) -> Iterator[int]:
    client = limited.connect()
    client.send(request(*UPGRADE, start="GET /chat/socket HTTP/1.1"))
    assert client.read_response().status == 101
    client.reset()
    yield 1


# -- what holds beyond a single reason


def test_nobody_else_is_counted(limited: Limited) -> None:
    """Who is served, and leaves when that is over, is not a failure."""
    before = limited.site.admin.failures()
    with limited.connect() as client:
        assert asks(client, "/chat/x") == 200
        client.shut_down()
        assert client.await_end() is End.CLEAN
    assert limited.site.admin.failures() == before


def test_trusted_networks_are_exempt_from_what_holds_for_one_client(limited: Limited) -> None:
    with ExitStack() as stack:
        trusted = [stack.enter_context(limited.connect(OTHER, "trusting")) for _ in range(8)]
        assert [asks(client, "/rated") for client in trusted] == [200] * 8
        assert count(limited, "trusting", ConnectionReason.CONNECTIONS_PER_ADDRESS) == 0
        for _ in range(2):
            in_use(stack.enter_context(limited.connect(listener="trusting")))
        assert limited.refuses(listener="trusting")
    of_one_client = (ConnectionReason.CONNECTIONS_PER_ADDRESS, ConnectionReason.HANDSHAKE_RATE, RequestReason.RATE)
    assert [count(limited, "trusting", reason) for reason in of_one_client] == [1, 0, 0]


def by_worker(limited: Limited, listener: str) -> list[int]:
    """How many connections of a listener each worker has."""
    return [one["connections"].get(listener, 0) for one in limited.site.admin.status()["workers"]]


def test_workers_share_what_is_counted_for_a_network(limited: Limited) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(limited.connect(listener="many_each")) for _ in range(MANY)]
        assert sum(by_worker(limited, "many_each")) == MANY
        assert all(by_worker(limited, "many_each"))
        assert [asks(client, "/many") for client in clients] == [200] * MANY
        assert [asks(client, "/many") for client in clients] == [429] * MANY
        assert count(limited, "many_each", RequestReason.RATE) == MANY
        for client in clients:
            in_use(client)
        assert [limited.refuses(listener="many_each") for _ in range(8)] == [True] * 8
        assert count(limited, "many_each", ConnectionReason.CONNECTIONS_PER_ADDRESS) == 8
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(limited.connect(listener="many_at_first"))
        assert all(by_worker(limited, "many_at_first"))
        assert [limited.refuses(listener="many_at_first") for _ in range(8)] == [True] * 8
        assert count(limited, "many_at_first", ConnectionReason.HANDSHAKE_RATE) == 8
