"""The demo chat, as browsers and curl use it."""

import json
import re
import socket
import sys
from pathlib import Path

import pytest
from aiohttp import WSMsgType
from aiohttp.client import ClientWebSocketResponse
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from pytest_aiohttp.plugin import AiohttpClient

from docker.demo import chat
from tests.programs import chat_address, program

Client = TestClient[Request, Application]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """Somebody who talks to a chat of their own."""
    return await aiohttp_client(chat.application())


async def enter(client: Client, name: str, **headers: str) -> tuple[ClientWebSocketResponse, dict[str, object]]:
    """Join as `name`; the open WebSocket and its welcome."""
    websocket = await client.ws_connect("/socket", params={"name": name}, headers=headers)
    return websocket, await event(websocket, "welcome")


async def event(websocket: ClientWebSocketResponse, kind: str) -> dict[str, object]:
    """The next event of a kind; others before it are skipped."""
    while True:
        received: dict[str, object] = await websocket.receive_json(timeout=5)
        if received["type"] == kind:
            return received


async def say(websocket: ClientWebSocketResponse, text: str, attachment: str | None = None) -> None:
    """Send a message."""
    await websocket.send_json({"text": text, "attachment": attachment})


async def test_page_is_self_contained_and_runs_no_script_but_its_own(client: Client) -> None:
    response = await client.get("/")
    page = await response.text()
    nonce = re.search(r"script-src 'nonce-([^']+)'", response.headers["Content-Security-Policy"])
    assert nonce is not None
    assert page.count(f'nonce="{nonce[1]}"') == 2
    assert "{{nonce}}" not in page
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', page) == []
    assert re.findall(r"<[^>]+\son\w+=", page) == []
    assert "innerHTML" not in page
    again = await client.get("/")
    assert again.headers["Content-Security-Policy"] != response.headers["Content-Security-Policy"]


async def test_message_reaches_everybody_with_the_name_of_its_sender(client: Client) -> None:
    ada, _ = await enter(client, "Ada")
    grace, _ = await enter(client, "Grace")
    await say(ada, "<b>hello</b>")
    for reader in (ada, grace):
        message = (await event(reader, "message"))["message"]
        assert isinstance(message, dict)
        assert (message["name"], message["text"], message["attachment"]) == ("Ada", "<b>hello</b>", None)


async def test_newcomer_sees_the_last_fifty_messages(client: Client) -> None:
    ada, _ = await enter(client, "Ada")
    for number in range(chat.HISTORY + 3):
        await say(ada, str(number))
        await event(ada, "message")
    _, welcome = await enter(client, "Grace")
    history = welcome["history"]
    assert isinstance(history, list)
    assert [message["text"] for message in history] == [str(number) for number in range(3, chat.HISTORY + 3)]


async def test_everybody_is_told_who_comes_and_goes(client: Client) -> None:
    ada, _ = await enter(client, "ada")
    assert (await event(ada, "people"))["people"] == ["ada"]
    grace, _ = await enter(client, "Grace")
    assert (await event(ada, "people"))["people"] == ["ada", "Grace"]
    await grace.close()
    assert (await event(ada, "people"))["people"] == ["ada"]


async def test_welcome_tells_what_the_proxy_said_about_this_connection(client: Client) -> None:
    _, welcome = await enter(client, "Ada", **{"X-TLS-Group": "X25519MLKEM768", "X-Request-Id": "r-1"})
    assert (welcome["tls_group"], welcome["request_id"]) == ("X25519MLKEM768", "r-1")
    _, without_proxy = await enter(client, "Grace")
    assert (without_proxy["tls_group"], without_proxy["request_id"]) == (None, None)


@pytest.mark.parametrize(
    ("asked", "given"), [("  Ada\n", "Ada"), ("A\x00d\x1ba", "Ada"), ("", "somebody"), ("x" * 99, "x" * 32)]
)
async def test_names_are_short_and_printable(client: Client, asked: str, given: str) -> None:
    _, welcome = await enter(client, asked)
    assert welcome["name"] == given


async def test_long_text_is_cut(client: Client) -> None:
    ada, _ = await enter(client, "Ada")
    await say(ada, "x" * 5_000)
    message = (await event(ada, "message"))["message"]
    assert isinstance(message, dict)
    assert message["text"] == "x" * chat.TEXT_LENGTH


@pytest.mark.parametrize(
    "frame", ["", "[]", "{}", '{"text": 1, "attachment": null}', "[" * 50_000, '{"text": "no file"}']
)
async def test_frame_that_is_no_message_ends_the_connection(client: Client, frame: str) -> None:
    ada, _ = await enter(client, "Ada")
    await event(ada, "people")
    await ada.send_str(frame)
    assert (await ada.receive(timeout=5)).type is WSMsgType.CLOSE


async def test_binary_frame_ends_the_connection(client: Client) -> None:
    ada, _ = await enter(client, "Ada")
    await event(ada, "people")
    await ada.send_bytes(b'{"text": "hello", "attachment": null}')
    assert (await ada.receive(timeout=5)).type is WSMsgType.CLOSE


async def test_somebody_who_does_not_read_is_let_go() -> None:
    person = chat.Person("Ada")
    for number in range(chat.OUTBOX + 1):
        person.tell({"number": number})
    assert person.outbox.get_nowait() is None
    assert person.outbox.empty()


async def test_attachment_comes_back_as_it_was_sent(client: Client) -> None:
    content = bytes(range(256)) * 4_096
    created = await client.post("/attachments", params={"name": 'minü"tes\r\n.html'}, data=content)
    assert created.status == 201
    attachment = await created.json()
    assert (attachment["name"], attachment["size"]) == ('minü"tes.html', len(content))
    assert created.headers["Location"] == attachment["url"]

    fetched = await client.get(attachment["url"])
    assert await fetched.read() == content
    assert fetched.headers["Content-Type"] == "application/octet-stream"
    assert fetched.headers["X-Content-Type-Options"] == "nosniff"
    assert fetched.headers["Content-Disposition"].startswith("attachment;")


async def test_message_carries_a_known_attachment_and_no_other(client: Client) -> None:
    attachment = await (await client.post("/attachments", params={"name": "a.txt"}, data=b"abc")).json()
    ada, _ = await enter(client, "Ada")
    await say(ada, "", attachment["url"])
    await say(ada, "", "javascript:alert(1)")
    first, second = (await event(ada, "message"))["message"], (await event(ada, "message"))["message"]
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["attachment"], second["attachment"]) == (attachment, None)


async def test_attachment_that_is_too_large_is_refused_and_not_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "ATTACHMENT_BYTES", 1_000)
    response = await client.post("/attachments", data=b"x" * 1_001)
    assert response.status == 413
    assert files_of(client) == []
    assert (await client.post("/attachments", data=b"x" * 1_000)).status == 201


async def test_oldest_attachment_goes_when_there_are_too_many(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "ATTACHMENTS", 2)
    urls = [(await client.post("/attachments", data=b"x")).headers["Location"] for _ in range(3)]
    assert [(await client.get(url)).status for url in urls] == [404, 200, 200]
    assert len(files_of(client)) == 2


def files_of(client: Client) -> list[Path]:
    """The files that the chat keeps."""
    assert client.app is not None
    return list(client.app[chat.ROOM].directory.iterdir())


@pytest.mark.parametrize("path", ["/attachments/unknown", "/attachments/..%2f..%2fetc%2fpasswd", "/attachments/"])
async def test_attachment_that_nobody_sent_is_not_found(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 404


async def test_hello_tells_curl_about_its_connection(client: Client) -> None:
    response = await client.get("/api/hello", headers={"X-TLS-Group": "X25519", "X-Forwarded-For": "192.0.2.1"})
    assert await response.json() == {
        "message": "hello",
        "people": 0,
        "client": "192.0.2.1",
        "tls_group": "X25519",
        "request_id": None,
    }


async def test_headers_are_echoed_in_order_with_repetitions(client: Client) -> None:
    response = await client.get("/api/echo-headers", headers=[("X-One", "1"), ("X-Two", "2"), ("X-One", "3")])
    pairs = (await response.json())["headers"]
    assert [pair for pair in pairs if pair[0].startswith("X-")] == [["X-One", "1"], ["X-Two", "2"], ["X-One", "3"]]


@pytest.mark.parametrize(("bind", "address"), [("127.0.0.1:0", r"127\.0\.0\.1:\d+"), ("[::1]:0", r"::1:\d+")])
def test_chat_listens_on_an_address(bind: str, address: str) -> None:
    with program([sys.executable, chat.__file__, "--bind", bind], chat_address) as running:
        assert re.fullmatch(address, running.ready)
        host, _, port = running.ready.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            assert greeting(connection)["message"] == "hello"


def test_chat_listens_on_a_unix_socket_and_replaces_one_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "chat.sock"
    for _ in range(2):
        with (
            program([sys.executable, chat.__file__, "--bind", f"unix:{path}"], chat_address) as running,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            assert running.ready == f"unix:{path}"
            connection.connect(str(path))
            assert greeting(connection)["message"] == "hello"
        assert running.output == [f"chat: ready on unix:{path}"]


def greeting(connection: socket.socket) -> dict[str, object]:
    """What /api/hello answers on this connection."""
    connection.sendall(b"GET /api/hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    with connection.makefile("rb") as stream:
        answer: dict[str, object] = json.loads(stream.read().partition(b"\r\n\r\n")[2])
    return answer


async def test_message_may_come_by_a_request(client: Client) -> None:
    websocket, _ = await enter(client, "Ada")
    answer = await client.post("/messages", json={"name": "Grace\0", "text": "hello", "attachment": None})
    message = (await event(websocket, "message"))["message"]
    assert isinstance(message, dict)
    assert (answer.status, message["name"], message["text"]) == (201, "Grace", "hello")
    for body in (b"", b"[]", b"[" * 9_999, b'{"name": "x"}'):
        assert (await client.post("/messages", data=body)).status == 400


async def test_page_finds_its_modules_and_what_it_pins(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    file = tmp_path / "identity.json"
    client = await aiohttp_client(chat.application(file))
    for module in ("payload.js", "payload-libraries.js"):
        answer = await client.get(f"/{module}")
        assert (answer.status, answer.content_type) == (200, "text/javascript")
    assert (await client.get("/payload-identity.json")).status == 404
    file.write_text('{"ml-dsa-65": "x"}')
    assert await (await client.get("/payload-identity.json")).json() == {"ml-dsa-65": "x"}
    without = await aiohttp_client(chat.application())
    assert (await without.get("/payload-identity.json")).status == 404
