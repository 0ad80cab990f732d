"""A small chat that shows what Plexigate does: WebSocket messages, attachments, and the TLS group
of each connection.

python docker/demo/chat.py --bind 127.0.0.1:8000     or     --bind unix:/path/to/chat.sock

It speaks plain HTTP/1.1 and trusts the headers of every client, so it must only run behind the
proxy.
"""

import argparse
import asyncio
import contextlib
import json
import secrets
import socket
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

from aiohttp import WSCloseCode, web
from aiohttp.helpers import content_disposition_header

PAGE: Final = Path(__file__).with_name("chat.html").read_text(encoding="utf-8")
_JAVASCRIPT: Final = files("proxy.payload") / "clients" / "javascript"
MODULES: Final = {name: (_JAVASCRIPT / name).read_bytes() for name in ("payload.js", "payload-libraries.js")}

HISTORY: Final = 50  # messages that a newcomer sees
NAME_LENGTH: Final = 32
TEXT_LENGTH: Final = 4_000
OUTBOX: Final = 256  # events that wait for a slow reader before it is let go
ATTACHMENT_BYTES: Final = 100 * 1024 * 1024
ATTACHMENTS: Final = 20  # the oldest goes when another one comes: 2 GB on disk at most


@dataclass(frozen=True, slots=True)
class Attachment:
    """An uploaded file: where to fetch it, what its sender called it, its size in bytes."""

    url: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the chat; `at` is ISO 8601 in UTC."""

    name: str
    text: str
    at: str
    attachment: Attachment | None


@dataclass(eq=False, slots=True)
class Person:
    """A person with an open WebSocket, and the events still to be sent there (None ends it)."""

    name: str
    outbox: asyncio.Queue[dict[str, object] | None] = field(default_factory=lambda: asyncio.Queue(OUTBOX))

    def tell(self, event: dict[str, object]) -> None:
        """Queue an event. A client that does not read is disconnected, so that the others do not
        wait.
        """
        if self.outbox.full():
            self.dismiss()
        else:
            self.outbox.put_nowait(event)

    def dismiss(self) -> None:
        """End the connection, also with events in its queue."""
        while not self.outbox.empty():
            self.outbox.get_nowait()
        self.outbox.put_nowait(None)

    async def deliver(self, websocket: web.WebSocketResponse) -> None:
        """Send the events as they come, until the end of the connection."""
        with contextlib.suppress(ConnectionError):
            while (event := await self.outbox.get()) is not None:
                await websocket.send_json(event)
        await websocket.close(code=WSCloseCode.GOING_AWAY)


@dataclass(eq=False, slots=True)
class Room:
    """Who is here, what was said last, which files were sent."""

    directory: Path
    people: list[Person] = field(default_factory=list)
    history: deque[Message] = field(default_factory=lambda: deque(maxlen=HISTORY))
    attachments: dict[str, Attachment] = field(default_factory=dict)

    def publish(self, event: dict[str, object]) -> None:
        for person in self.people:
            person.tell(event)

    def announce_people(self) -> None:
        self.publish({"type": "people", "people": sorted((person.name for person in self.people), key=str.casefold)})

    def say(self, message: Message) -> None:
        self.history.append(message)
        self.publish({"type": "message", "message": asdict(message)})

    def add(self, attachment: Attachment) -> None:
        """Offer an uploaded file, and forget the oldest one beyond the limit."""
        self.attachments[attachment.url] = attachment
        if len(self.attachments) > ATTACHMENTS:
            oldest = self.attachments.pop(next(iter(self.attachments)))
            self.file(oldest.url).unlink(missing_ok=True)

    def file(self, url: str) -> Path:
        """Where the file of an attachment lies; its name is one that we made."""
        return self.directory / url.rpartition("/")[2]


ROOM: Final = web.AppKey("room", Room)
IDENTITY: Final = web.AppKey("identity", Path)
routes: Final = web.RouteTableDef()


@routes.get("/")
async def page(_: web.Request) -> web.Response:
    """The page, whose only script and style are those it was written with, and the modules that the
    script asks for.
    """
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    return web.Response(text=PAGE.replace("{{nonce}}", nonce), content_type="text/html", headers=headers)


@routes.get("/{name:payload(?:-libraries)?\\.js}")
async def module(request: web.Request) -> web.Response:
    """The client of payload encryption, and what it needs for sessions."""
    headers = {"Cache-Control": "no-cache"}
    return web.Response(body=MODULES[request.match_info["name"]], content_type="text/javascript", headers=headers)


@routes.get("/payload-identity.json")
async def identity(request: web.Request) -> web.Response:
    """What the page pins: `plexigate payload identity` wrote it.

    Without it the page encrypts nothing but by TLS.

    It comes the same way as everything else here, which shows how it works but protects against no
    attacker: an application ships it.
    """
    path = request.app.get(IDENTITY)
    if path is None or not path.exists():
        raise web.HTTPNotFound
    return web.json_response(text=path.read_text(encoding="ascii"), headers={"Cache-Control": "no-store"})


@routes.post("/messages")
async def post_message(request: web.Request) -> web.Response:
    """`{"name": ..., "text": ..., "attachment": url or null}`, as over the WebSocket; here a route
    can ask for encrypted bodies.
    """
    room = request.app[ROOM]
    data = await request.text()
    try:
        name = json.loads(data)["name"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise web.HTTPBadRequest from None
    message = message_from(data, printable(str(name), NAME_LENGTH) or "somebody", room)
    if message is None:
        raise web.HTTPBadRequest
    room.say(message)
    return web.json_response({"at": message.at}, status=201)


@routes.get("/api/hello")
async def hello(request: web.Request) -> web.Response:
    """A greeting for curl, with what the proxy says about the connection."""
    people = len(request.app[ROOM].people)
    forwarded = request.headers.get("X-Forwarded-For")
    return web.json_response({"message": "hello", "people": people, "client": forwarded, **connection_facts(request)})


@routes.get("/api/echo-headers")
async def echo_headers(request: web.Request) -> web.Response:
    """The request's headers in the order they came, as pairs of name and value."""
    return web.json_response({"headers": [[name, value] for name, value in request.headers.items()]})


@routes.post("/attachments")
async def upload(request: web.Request) -> web.Response:
    """Take the body as a file called `?name=`; answers its attachment."""
    room = request.app[ROOM]
    name = printable(request.query.get("name", ""), 100) or "file"
    url = f"/attachments/{secrets.token_urlsafe(12)}"
    path = room.file(url)
    try:
        size = await receive_file(request, path)
    except BaseException:  # too large, or a client that went away in the middle
        path.unlink()
        raise
    attachment = Attachment(url, name, size)
    room.add(attachment)
    return web.json_response(asdict(attachment), status=201, headers={"Location": url})


async def receive_file(request: web.Request, path: Path) -> int:
    """Write the body to a new file as it comes; answers its size."""
    size = 0
    with path.open("xb") as file:
        async for chunk in request.content.iter_chunked(64 * 1024):
            size += len(chunk)
            if size > ATTACHMENT_BYTES:
                raise web.HTTPRequestEntityTooLarge(ATTACHMENT_BYTES, size)
            await asyncio.to_thread(file.write, chunk)
    return size


@routes.get("/attachments/{token}")
async def download(request: web.Request) -> web.FileResponse:
    """An uploaded file, always to be saved, never to be shown: it may be anything."""
    room = request.app[ROOM]
    attachment = room.attachments.get(request.path)
    if attachment is None:
        raise web.HTTPNotFound
    headers = {
        "Content-Disposition": content_disposition_header("attachment", filename=attachment.name),
        "Content-Type": "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
    }
    return web.FileResponse(room.file(attachment.url), headers=headers)


@routes.get("/socket")
async def chat(request: web.Request) -> web.WebSocketResponse:
    """Events out (welcome, people, message), `{"text": ..., "attachment": url or null}` in."""
    room = request.app[ROOM]
    websocket = web.WebSocketResponse(heartbeat=30, max_msg_size=64 * 1024)
    await websocket.prepare(request)
    person = Person(printable(request.query.get("name", ""), NAME_LENGTH) or "somebody")
    history = [asdict(message) for message in room.history]
    person.tell({"type": "welcome", "name": person.name, "history": history, **connection_facts(request)})
    room.people.append(person)
    room.announce_people()
    async with asyncio.TaskGroup() as group:
        group.create_task(person.deliver(websocket))
        try:
            async for frame in websocket:
                message = message_from(frame.data, person.name, room)
                if message is None:
                    break
                room.say(message)
        finally:
            room.people.remove(person)
            room.announce_people()
            person.dismiss()
    return websocket


def message_from(data: object, name: str, room: Room) -> Message | None:
    """The message in a WebSocket frame, or None when it is not one."""
    try:
        value = json.loads(data) if isinstance(data, str) else None
    except (ValueError, RecursionError):
        return None
    match value:
        case {"text": str(text), "attachment": str() | None as url}:
            now = datetime.now(UTC)  # noqa: TID251 - this program is its own driver
            attachment = room.attachments.get(url or "")
            return Message(name, text[:TEXT_LENGTH], now.isoformat(timespec="seconds"), attachment)
        case _:
            return None


def printable(text: str, length: int) -> str:
    """The text without control characters and outer spaces, cut to a length."""
    return "".join(character for character in text if character.isprintable()).strip()[:length]


def connection_facts(request: web.Request) -> dict[str, str | None]:
    """What the proxy says about the connection that this request came on."""
    return {"tls_group": request.headers.get("X-TLS-Group"), "request_id": request.headers.get("X-Request-Id")}


def application(identity: Path | None = None) -> web.Application:
    """The chat; its attachments live in a temporary directory as long as it runs.

    `identity`: what clients of sessions pin.
    """
    app = web.Application()
    if identity is not None:
        app[IDENTITY] = identity
    app.add_routes(routes)
    app.cleanup_ctx.append(open_room)
    app.on_shutdown.append(dismiss_everybody)
    return app


async def open_room(app: web.Application) -> AsyncIterator[None]:
    """Make the room, and remove its files in the end."""
    with tempfile.TemporaryDirectory(prefix="plexigate-demo-") as directory:
        app[ROOM] = Room(Path(directory))
        yield


async def dismiss_everybody(app: web.Application) -> None:
    """Close the WebSockets, which would otherwise delay the end of the program."""
    for person in app[ROOM].people:
        person.dismiss()


def listening_socket(bind: str) -> socket.socket:
    """A socket on `HOST:PORT` or `unix:PATH`; a socket file that was left behind is replaced."""
    if bind.startswith("unix:"):
        path = Path(bind.removeprefix("unix:"))
        if path.is_socket():
            path.unlink()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(128)
        return listener
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family)


def main() -> None:
    """Serve until a signal comes; says on standard output where."""
    parser = argparse.ArgumentParser(description="The demo chat of Plexigate.")
    parser.add_argument("--bind", default="127.0.0.1:8000", metavar="HOST:PORT | unix:PATH")
    parser.add_argument("--payload-identity", type=Path, metavar="FILE", help="what `plexigate payload identity` wrote")
    arguments = parser.parse_args()
    listener = listening_socket(arguments.bind)
    name = listener.getsockname()
    sys.stdout.write(f"chat: ready on {f'unix:{name}' if isinstance(name, str) else f'{name[0]}:{name[1]}'}\n")
    sys.stdout.flush()
    web.run_app(application(arguments.payload_identity), sock=listener, access_log=None, print=None, shutdown_timeout=3)


if __name__ == "__main__":
    main()
