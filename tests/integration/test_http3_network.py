"""HTTP/3 where networks change and lose, over three workers: reloads, an upgrade, tickets, certificates, WebSockets."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.tls import SessionTicket

from proxy.quic.availability import unavailable
from tests.client_authorities import ClientAuthority
from tests.hostile import http2_frames as h2
from tests.hostile import http3_frames as h3
from tests.hostile.client import Address
from tests.hostile.http2_client import Stream
from tests.hostile.http3_client import Http3Client
from tests.hostile.quic_client import QuicClient, configuration
from tests.hostile.strict_frames import Frame, FrameReader, unmasked
from tests.integration.udp_relay import Relay, Way
from tests.programs import PLEXIGATE
from tests.soak.scenes import Scene, scene
from tests.upgrades import upgrade
from tests.waiting import is_alive, until_found

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

LISTENER = 'bind = "127.0.0.1:0"\nexempt = ["127.0.0.1"]\nhttp3 = true'
WORKERS = 3
_TEXT, _CLOSE = 1, 8
_MASK = b"\x12\x34\x56\x78"


@contextmanager
def served(directory: Path, **settings: Any) -> Iterator[Scene]:
    """A proxy with three workers, which has reached itself by UDP."""
    with scene(directory, **{"listener": LISTENER, "workers": WORKERS, **settings}) as running:
        until_found(lambda: running.events("http3_offered"))
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    leaves = '[limits]\ndrain_timeout = "1s"\n'  # it does not wait for clients whose last packet got lost
    with served(tmp_path_factory.mktemp("network"), extra=leaves) as running:
        yield running


def client_of(running: Scene, settings: QuicConfiguration | None = None, **options: Any) -> Http3Client:
    """A connection whose handshake is over."""
    address = Address(running.port, running.authority.path)
    return Http3Client(QuicClient(address, "localhost", settings, **options)).open()


def fields(path: bytes = b"/x", *more: tuple[bytes, bytes], method: bytes = b"GET") -> list[tuple[bytes, bytes]]:
    return h2.fields(path, *more, method=method, authority=b"localhost")


def goes_on(client: Http3Client, path: bytes) -> None:
    """A request on the connection is answered."""
    answer = client.ask(h3.headers(fields(path)))
    assert (answer.status, answer.body.split()[0]) == (200, path)


def test_connections_go_on_when_their_clients_come_from_elsewhere(running: Scene) -> None:
    """The kernel spreads clients over the workers by address and port; a connection stays with its worker."""
    with ExitStack() as stack:
        clients = [stack.enter_context(client_of(running)) for _ in range(12)]
        for turn, source in enumerate(("127.0.0.1", "127.0.0.1", "127.0.0.2")):
            for number, client in enumerate(clients):
                goes_on(client, b"/%d/%d" % (turn, number))
                client.quic.rebind(source)
                goes_on(client, b"/%d/%d/again" % (turn, number))
        ids = {client.quic._peer_cid.cid[0] for client in clients}
        assert len(ids) == WORKERS, "all workers have connections"


def test_nothing_is_missing_where_datagrams_get_lost_doubled_and_damaged_and_overtake_each_other(
    running: Scene,
) -> None:
    """With two workers more, which get those whose connection ID is damaged."""
    body = bytes(range(256)) * 2_000
    with Relay(running.port, Way(lost=0.05, late=0.05, twice=0.05, damaged=0.03)) as relay:
        with client_of(running, relay=relay.address) as client:
            answer = client.ask(h3.headers(fields(b"/large/1000000")))
            assert (answer.status, len(answer.body)) == (200, 1_000_000)
            sent = client.ask(h3.headers(fields(b"/up", method=b"POST")) + h3.data(body))
            assert sent.body.split()[:2] == [b"/up", b"%d" % len(body)]
        assert min(relay.happened[one] for one in ("lost", "late", "twice", "damaged")) > 20


@pytest.mark.paced
def test_a_handshake_needs_none_of_its_first_datagrams_and_may_take_long(running: Scene) -> None:
    """Each of the first ten is missing once; there and back, 1.1 s are longer than a first probe timeout (RFC 9002
    section 6.2.2). The hybrid ClientHello of curl takes two of them.
    """
    with ExitStack() as stack:
        ways = [*(Way(missing=number) for number in range(10)), Way(seconds=0.55)]
        relays = [stack.enter_context(Relay(running.port, way)) for way in ways]
        command = ["curl", "--silent", "--http3-only", "--max-time", "20", "--noproxy", "*"]
        command += ["--cacert", str(running.authority.path)]
        asking = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, f"https://localhost:{relay.address[1]}/{number}"], stdout=subprocess.PIPE, text=True
                )
            )
            for number, relay in enumerate(relays)
        ]
        answers = [one.communicate()[0].partition(" ")[0] for one in asking]
        assert answers == [f"/{number}" for number in range(len(ways))]
        assert [relay.happened["lost"] for relay in relays] == [1] * 10 + [0]


def test_keys_are_updated_while_requests_go_on(running: Scene) -> None:
    with client_of(running) as client:
        for number in range(4):
            client.quic.request_key_update()
            goes_on(client, b"/%d" % number)
            client.quic.sync()
        assert client.quic.key_updates == 4


def resumed_by(running: Scene, ticket: SessionTicket) -> Http3Client:
    settings = configuration(Address(running.port, running.authority.path), "localhost")
    settings.session_ticket = ticket
    return client_of(running, settings)


def test_a_ticket_resumes_without_early_data(running: Scene) -> None:
    with client_of(running) as client:
        goes_on(client, b"/first")
        client.read_until(lambda: client.quic.tickets)
        ticket = client.quic.tickets[0]
        assert ticket.max_early_data_size is None, "no 0-RTT is offered"
        assert client.quic.handshake is not None
        assert not client.quic.handshake.session_resumed
    with resumed_by(running, ticket) as client:
        assert client.quic.handshake is not None
        assert client.quic.handshake.session_resumed
        goes_on(client, b"/second")
    ticket.max_early_data_size = 0xFFFFFFFF  # a client that tries it
    with resumed_by(running, ticket) as client:
        assert client.quic.handshake is not None
        assert not client.quic.handshake.early_data_accepted
        goes_on(client, b"/third")


def echoed(answer: Stream) -> list[Frame]:
    """The frames of a WebSocket that came."""
    reader = FrameReader(is_masked=False)
    reader.feed(answer.body)
    return reader.frames


def has_echoed(answer: Stream, count: int) -> bool:
    return len(echoed(answer)) >= count


def said(opcode: int, payload: bytes) -> bytes:
    """A frame of a WebSocket in DATA."""
    return h3.data(bytes([0x80 | opcode, 0x80 | len(payload)]) + _MASK + unmasked(payload, _MASK))


def test_a_websocket_echoes_and_closes(running: Scene) -> None:
    """RFC 9220."""
    asked = [(b":protocol", b"websocket"), *fields(b"/chat", h2.CHAT, method=b"CONNECT")]
    with client_of(running) as client:
        stream = client.begin(h3.headers(asked))
        client.read_until(lambda: stream in client.streams and client.streams[stream].status)
        answer = client.streams[stream]
        assert answer.status == 200
        for number in range(5):
            payload = b"message %d" % number * 10
            client.send(stream, said(_TEXT, payload))
            client.read_until(partial(has_echoed, answer, number + 1))
            assert echoed(answer)[number].payload == payload
        client.send(stream, said(_CLOSE, (1_000).to_bytes(2)), ends=True)
        client.answer(stream)
        last = echoed(answer)[-1]
        assert (last.opcode, last.payload[:2]) == (_CLOSE, (1_000).to_bytes(2))
        assert (answer.has_ended, answer.reset) == (True, None)
        goes_on(client, b"/behind")


def test_a_client_proves_who_it_is(tmp_path: Path) -> None:
    authority = ClientAuthority("clients of tests")
    (tmp_path / "clients.pem").write_bytes(authority.pem)
    known = authority.issue(tmp_path, "bot 3")
    extra = f'[identity.local.client_certificates]\nca = "{tmp_path / "clients.pem"}"\nmode = "require"\n'
    with scene(tmp_path, listener=LISTENER, workers=1, extra=extra) as running:
        settings = configuration(Address(running.port, running.authority.path), "localhost")
        settings.load_cert_chain(known.certificate, known.key)
        with client_of(running, settings) as client:
            goes_on(client, b"/known")
        with client_of(running) as client:
            assert client.quic.end() == 0x100 + 116  # certificate_required
        assert until_found(lambda: running.events("handshake_failed"))[0]["reason"] == "client_certificate_missing"


def test_a_reload_loses_no_connection(tmp_path: Path) -> None:
    with served(tmp_path) as running, ExitStack() as stack:
        clients = [stack.enter_context(client_of(running)) for _ in range(40)]
        held = [client.begin(h3.headers(fields(b"/late/300")), ends=True) for client in clients]
        for client in clients:
            client.quic.send_due()
        running.route += '[[route]]\nhost = "localhost"\npath = "/other"\nupstream = "backend"\n'
        running.write()
        running.signal(signal.SIGHUP)
        until_found(lambda: running.events("reloaded"))
        assert [client.answer(one).status for client, one in zip(clients, held, strict=True)] == [200] * 40
        for number, client in enumerate(clients):
            goes_on(client, b"/%d" % number)
        assert running.events("reload_failed", "error") == []


def test_an_upgrade_answers_what_was_asked_and_takes_what_comes(tmp_path: Path) -> None:
    """The bodies come after it, and are read by the new workers, which hand them on to the old ones."""
    extra = '[limits]\ndrain_timeout = "5s"\n'
    with served(tmp_path, prefix=["env"], extra=extra) as running, ExitStack() as stack:
        workers = running.worker_pids
        clients = [stack.enter_context(client_of(running)) for _ in range(9)]
        held = [client.begin(h3.headers(fields(b"/held", method=b"POST"))) for client in clients]
        for client in clients:
            client.quic.sync()
        told = upgrade(running.path, "--program", PLEXIGATE)
        try:
            assert told.status == 0, told
            for client, one in zip(clients, held, strict=True):
                client.send(one, h3.data(b"late"), ends=True)
                answer = client.answer(one)
                assert (answer.status, answer.body.split()[:2]) == (200, [b"/held", b"4"])
            for number in range(6):
                with client_of(running) as client:
                    goes_on(client, b"/new/%d" % number)
            for client in clients:
                client.quic.close(error_code=h3.NO_ERROR)
                client.quic.send_due()
            until_found(lambda: not any(map(is_alive, workers)))
            with client_of(running) as client:
                goes_on(client, b"/last")
        finally:
            os.kill(told.last["pid"], signal.SIGTERM)
            until_found(lambda: not is_alive(told.last["pid"]))
