"""The transport: bounded, verified, patient with nonces only."""

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from certs.acme.client.wire import CaUnreachable, Wire, WireSettings
from certs.acme.problems import AcmeProblem
from tests.acme_directory import serving

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Server:
    """Answers as the test says; keeps what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.trust = Path()
        self.asked: list[tuple[str, str, bytes]] = []
        self.answer: Callable[[web.BaseRequest], web.Response] = lambda _request: web.Response()
        self.hangs = threading.Event()
        self.nonces = iter(range(1_000))

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """One request."""
        self.asked.append((request.method, request.path, await request.read()))
        response = self.answer(request)
        if "Replay-Nonce" not in response.headers:
            response.headers["Replay-Nonce"] = f"nonce{next(self.nonces)}"
        return response


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server()
    with serving(made, tmp_path) as (made.url, made.trust):
        yield made


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    made = Wire(WireSettings(server.trust, 20.0), lambda: NOW)
    yield made
    made.close()


def signed(payload: bytes, url: str, nonce: str) -> bytes:
    """What is sent says what it was made of."""
    return b"|".join([payload, url.encode(), nonce.encode()])


def problem(type_: str, status: int = 400) -> web.Response:
    return web.json_response({"type": f"urn:ietf:params:acme:error:{type_}"}, status=status)


def test_nonce_is_used_once_and_the_next_comes_with_each_answer(server: Server, wire: Wire) -> None:
    for _ in range(2):
        wire.post(f"{server.url}/x", b"{}", signed, f"{server.url}/nonce")
    url = f"{server.url}/x".encode()
    assert server.asked == [
        ("HEAD", "/nonce", b""),
        ("POST", "/x", b"{}|" + url + b"|nonce0"),
        ("POST", "/x", b"{}|" + url + b"|nonce1"),
    ]


def test_rejected_nonce_is_replaced_by_the_one_of_the_rejection(server: Server, wire: Wire) -> None:
    answers = iter([web.Response(), *(problem("badNonce") for _ in range(10)), web.Response(body=b"done")])
    server.answer = lambda _request: next(answers)
    assert wire.post(f"{server.url}/x", b"{}", signed, f"{server.url}/nonce").body == b"done"
    assert [method for method, _, _ in server.asked] == ["HEAD", *["POST"] * 11]
    assert len({body for _, _, body in server.asked}) == 12


def test_other_problems_are_not_tried_again(server: Server, wire: Wire) -> None:
    server.answer = lambda request: problem("malformed") if request.method == "POST" else web.Response()
    with pytest.raises(AcmeProblem, match="malformed"):
        wire.post(f"{server.url}/x", b"{}", signed, f"{server.url}/nonce")
    assert len(server.asked) == 2


@pytest.mark.parametrize("nonce", ["", "a b", "ä", "x" * 2_000, "a+b="])
def test_nonces_that_are_none_are_ignored(server: Server, wire: Wire, nonce: str) -> None:
    server.answer = lambda _request: web.Response(headers={"Replay-Nonce": nonce})
    with pytest.raises(CaUnreachable, match="no nonce where they are given out"):
        wire.post(f"{server.url}/x", b"{}", signed, f"{server.url}/nonce")


def test_answer_has_its_retry_after_and_location(server: Server, wire: Wire) -> None:
    server.answer = lambda _request: web.json_response({}, headers={"Retry-After": "7", "Location": "/order/1"})
    answer = wire.get(f"{server.url}/x")
    assert (answer.retry_after, answer.location, answer.document) == (7.0, f"{server.url}/order/1", {})


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_told(server: Server, wire: Wire, body: bytes) -> None:
    server.answer = lambda _request: web.Response(body=body)
    answer = wire.get(f"{server.url}/x")
    with pytest.raises(CaUnreachable, match="no JSON where an object belongs"):
        answer.document  # noqa: B018 - it raises
    with pytest.raises(CaUnreachable, match="no Location"):
        answer.location  # noqa: B018 - as above
    server.answer = lambda _request: web.Response(body=body, status=500)
    with pytest.raises(AcmeProblem, match="status 500"):
        wire.get(f"{server.url}/x")


def test_answer_without_end_is_cut(server: Server, wire: Wire) -> None:
    server.answer = lambda _request: web.Response(body=b"x" * 1_048_577)
    with pytest.raises(CaUnreachable, match="more than 1_048_576 bytes"):
        wire.get(f"{server.url}/x")


def test_what_is_signed_is_never_redirected(server: Server, wire: Wire) -> None:
    server.answer = lambda request: (
        web.Response(status=307, headers={"Location": "/other"}) if request.method == "POST" else web.Response()
    )
    with pytest.raises(CaUnreachable, match="a redirection"):
        wire.post(f"{server.url}/x", b"{}", signed, f"{server.url}/nonce")
    assert "/other" not in {path for _, path, _ in server.asked}


@pytest.mark.parametrize("url", ["http://localhost:1/x", "file:///etc/passwd", "", "//localhost/x"])
def test_only_https_is_spoken(wire: Wire, url: str) -> None:
    with pytest.raises(CaUnreachable, match="an address that is not https"):
        wire.get(url)


def test_other_authorities_and_the_environment_count_for_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(server.trust))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert os.environ["HTTPS_PROXY"]
    strict = Wire(WireSettings(None, 20.0), lambda: NOW)
    with pytest.raises(CaUnreachable, match="certificate verify failed"):
        strict.get(f"{server.url}/x")
    strict.close()
    assert server.asked == []
    trusting = Wire(WireSettings(server.trust, 20.0), lambda: NOW)
    assert trusting.get(f"{server.url}/x").body == b""
    trusting.close()
    assert tmp_path.is_dir()


def test_host_is_told_without_what_could_be_a_password(wire: Wire) -> None:
    with pytest.raises(CaUnreachable) as caught:
        wire.get("https://user:secret@localhost:1/x")
    assert str(caught.value).startswith("localhost:1 gave no answer")
    assert "secret" not in str(caught.value)


def test_silent_server_is_left_behind(server: Server) -> None:
    is_over = threading.Event()

    def hang(_request: web.BaseRequest) -> web.Response:
        is_over.wait(10)
        return web.Response()

    server.answer = hang
    hasty = Wire(WireSettings(server.trust, 0.2), lambda: NOW)
    with pytest.raises(CaUnreachable, match=r"no answer within 0\.2 s|timed out"):
        hasty.get(f"{server.url}/x")
    is_over.set()
    hasty.close()
