"""A gRPC chat backend behind the proxy: Google's server, and Google's client."""

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tests.certificates import Authority, CertificateFiles
from tests.integration.chat_service import SERVICE, ChatClient, chat_server
from tests.integration.stage import Site, Upstream, site

LISTENER = '[listener.public]\nbind = "127.0.0.1:0"\nhttp = ["h2", "http/1.1"]\n'
STREAMS = "stream_requests = true\n"


@pytest.fixture(scope="module", params=["http", "https"])
def proxy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    localhost: CertificateFiles,
) -> Iterator[Site]:
    """The proxy in front of the service, in clear and over TLS."""
    files = localhost if request.param == "https" else None
    settings = 'http = "h2"\n' + (f'ca = "{authority.path}"\nserver_name = "localhost"\n' if files else "")
    with chat_server(files) as port:
        upstreams = {"chat": Upstream((f"{request.param}://127.0.0.1:{port}",), settings, f"/{SERVICE}", STREAMS)}
        with site(tmp_path_factory.mktemp("grpc"), authority, localhost, upstreams, LISTENER) as running:
            yield running


@pytest.fixture
def client(proxy: Site) -> Iterator[ChatClient]:
    """A client with a connection of its own."""
    with ChatClient(proxy.port(), proxy.ca) as made:
        yield made


def test_unary_calls_with_metadata_both_ways(client: ChatClient) -> None:
    answer, call = client.say.with_call(b"hello", metadata=(("x-room", "42"),), timeout=10)
    assert answer == b"you said hello"
    assert ("x-room", "42") in call.trailing_metadata()


def test_errors_pass_with_their_message(client: ChatClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.say(b"fail", timeout=10)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "not now")


def test_an_unknown_method_is_the_servers_to_refuse(client: ChatClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.channel.unary_unary(f"/{SERVICE}/Nothing")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_deadlines_pass_on(client: ChatClient) -> None:
    assert 30 <= int(client.say(b"deadline", timeout=40)) <= 40
    with pytest.raises(grpc.RpcError) as caught:
        client.say(b"sleep", timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(("count", "size"), [(0, 0), (10, 10), (2_000, 100), (50, 100_000)])
def test_server_streams(client: ChatClient, count: int, size: int) -> None:
    got = list(client.history(b"%d %d" % (count, size), timeout=30))
    assert got == [b"%d " % number + bytes(size) for number in range(count)]


def test_client_streams(client: ChatClient) -> None:
    assert client.upload(iter([bytes(100_000)] * 50), timeout=30) == b"5000000"


def test_bidirectional_streams_answer_each_message_before_the_next(client: ChatClient) -> None:
    said: queue.Queue[bytes | None] = queue.Queue()
    answers = client.talk(iter(said.get, None), timeout=30)
    for number in range(50):
        said.put(b"%d" % number)
        assert next(answers) == b"heard %d" % number
    said.put(None)
    assert list(answers) == []
    assert answers.code() is grpc.StatusCode.OK


def test_a_stream_that_the_server_ends_first(client: ChatClient) -> None:
    said: queue.Queue[bytes | None] = queue.Queue()
    answers = client.talk(iter(said.get, None), timeout=30)
    said.put(b"hello")
    assert next(answers) == b"heard hello"
    said.put(b"bye")
    assert list(answers) == []
    assert answers.code() is grpc.StatusCode.OK
    said.put(None)


def test_a_call_that_the_client_cancels_leaves_the_others_alone(client: ChatClient) -> None:
    said: queue.Queue[bytes | None] = queue.Queue()
    first, second = client.talk(iter(queue.Queue[bytes]().get, None)), client.talk(iter(said.get, None), timeout=30)
    first.cancel()
    said.put(b"x")
    assert next(second) == b"heard x"
    said.put(None)
    assert list(second) == []


def test_many_calls_share_one_connection_to_the_server(proxy: Site, client: ChatClient) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: client.say(b"%d" % number, timeout=30), range(500)))
    assert answers == [b"you said %d" % number for number in range(500)]
    connections = [
        value for (name, _), value in proxy.admin.metrics().items() if name == "plexigate_upstream_connections_open"
    ]
    assert max(connections) <= 2
