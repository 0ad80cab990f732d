"""An hour of three kinds of chat clients in ten seconds: what they send, what their servers answer, and when.

Written from what these clients and servers document, not from users' traffic: Element beside Synapse (the client-server API of
Matrix), clients of socket.io that poll beside those that were upgraded (Engine.IO 4), and the web client of Mattermost (API v4). A
client has two places, for what waits for news and for what its user does. Each run makes the same messages, from a seed; `NEW` values
differ in each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.bench.exchanges import BROWSER, Exchange, Kind
from tests.bench.messages import NEW, NOW, Message

USERS: Final = 24
"""Of each kind."""
SPEED: Final = 360
_SEED: Final = 25
_ACTS: Final = 60
"""Messages of a place, before they come again with other values."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A request and its answers. In its texts, `{user}` and `{room}` stand for one of them, `{new}` for a value that is new."""

    line: str
    sizes: Sequence[int]
    """Of the bodies of its answers, which come in turn."""
    body: str = ""
    weight: int = 1
    """How often it comes, beside the others of its kind."""
    fields: str = ""
    status: str = "200 OK"
    answered: str = ""
    """Fields of the answer beside those of its server. With Transfer-Encoding among them, a body is sent in chunks."""
    waits: float = 0
    """Seconds until there is news."""


@dataclass(frozen=True, slots=True)
class App:
    """A client, and the server that it talks to."""

    name: str
    fields: str
    answered: str
    waiting: Sequence[Shape]
    """What follows each other without a pause."""
    acting: Sequence[Shape]
    pause: float
    """Seconds between two acts, on average."""


_JSON: Final = "Content-Type: application/json\n"
_SHORT: Final = (2,)
_ELEMENT: Final = App(
    "element",
    "Authorization: Bearer syt_{user}_pQcTtTmGQyrPvWqrKzhJ_1Ds9kd\nOrigin: https://localhost\n",
    "Server: Synapse/1.140.0\nDate: {now}\nCache-Control: no-cache, no-store, must-revalidate\n"
    "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Methods: GET, HEAD, POST, PUT, DELETE, OPTIONS\n"
    "Access-Control-Allow-Headers: X-Requested-With, Content-Type, Authorization, Date\n"
    "Access-Control-Expose-Headers: Synapse-Trace-Id, Server\n",
    [
        Shape(
            "GET /up/_matrix/client/v3/sync?filter=1&timeout=30000&since=s{new}_757284974_6_1",
            (412, 1_180, 1_630, 980, 5_900),
            answered=_JSON,
            waits=12,
        )
    ],
    [
        Shape(
            "PUT /up/_matrix/client/v3/rooms/{room}/send/m.room.message/m{new}.0",
            (59,),
            '{"msgtype":"m.text","body":"Let us meet at ten, {new}","m.mentions":{}}',
            weight=5,
            answered=_JSON,
        ),
        Shape(
            "PUT /up/_matrix/client/v3/rooms/{room}/typing/{user}",
            _SHORT,
            '{"typing":true,"timeout":30000}',
            5,
            answered=_JSON,
        ),
        Shape(
            "POST /up/_matrix/client/v3/rooms/{room}/receipt/m.read/${new}",
            _SHORT,
            '{"thread_id":"main"}',
            5,
            answered=_JSON,
        ),
        Shape(
            "PUT /up/_matrix/client/v3/presence/{user}/status", _SHORT, '{"presence":"unavailable"}', 2, answered=_JSON
        ),
        Shape(
            "GET /up/_matrix/client/v3/rooms/{room}/messages?from=t{new}&limit=30&dir=b",
            (18_000, 23_500),
            answered=_JSON,
        ),
        Shape(
            "GET /up/_matrix/client/v1/media/thumbnail/localhost/{new}?width=96&height=96&method=crop",
            (3_100, 9_800, 31_000),
            weight=4,
            answered="Content-Type: image/png\nContent-Disposition: inline\nETag: {new}\n",
        ),
        Shape(
            "GET /up/_matrix/client/v1/media/download/localhost/{room}",
            (),
            fields='If-None-Match: "{new}"\n',
            status="304 Not Modified",
            answered='ETag: "{new}"\n',
        ),
    ],
    30,
)
_SOCKET_IO: Final = App(
    "socket.io",
    "Cookie: connect.sid=s%3A{user}.Kf0zXn2uU3b4c5d6e7f8g9h0\n",
    "Date: {now}\nConnection: keep-alive\nKeep-Alive: timeout=5\ncache-control: no-store\nContent-Type: text/plain; charset=UTF-8\n",
    [Shape("GET /up/socket.io/?EIO=4&transport=polling&t={new}&sid={user}", (1, 85, 230, 410), waits=10)],
    [
        Shape(
            "POST /up/socket.io/?EIO=4&transport=polling&t={new}&sid={user}",
            _SHORT,
            '42["chat message",{"room":"{room}","text":"Let us meet at ten, {new}"}]',
            weight=9,
            fields="Content-Type: text/plain;charset=UTF-8\n",
        ),
        # comes back from sleep: a new session of Engine.IO
        Shape(
            "GET /up/socket.io/?EIO=4&transport=polling&t={new}",
            (118,),
            answered="Set-Cookie: io={new}; Path=/; HttpOnly; SameSite=Strict\n",
        ),
    ],
    45,
)
_GO: Final = "Content-Encoding: gzip\nTransfer-Encoding: chunked\n" + _JSON
_MATTERMOST: Final = App(
    "mattermost",
    "Cookie: rl_page_init_referrer=x; MMAUTHTOKEN=tq5yzz8x9jfxjf7jzf{user}; MMUSERID={user}; MMCSRF=6rfh8hf9tjyyjq\n"
    "X-Requested-With: XMLHttpRequest\nX-CSRF-Token: 6rfh8hf9tjyyjq\n",
    "Date: {now}\nExpires: 0\nPermissions-Policy:\nReferrer-Policy: no-referrer\nVary: Accept-Encoding\n"
    "X-Content-Type-Options: nosniff\nX-Request-Id: {new}\nX-Version-Id: 10.11.0.10.11.2.5f3a.true\n",
    [],
    [
        Shape(
            "GET /up/api/v4/channels/{room}/posts?since={new}&skipFetchThreads=false",
            (340, 2_800, 6_100),
            weight=2,
            answered=_GO,
        ),
        Shape(
            "GET /up/api/v4/channels/{room}/posts?page=0&per_page=30",
            (),
            fields="If-None-Match: 10.11.0.{new}\n",
            status="304 Not Modified",
            answered="Etag: 10.11.0.{new}\n",
            weight=2,
        ),
        Shape(
            "POST /up/api/v4/posts",
            (720,),
            '{"message":"Let us meet at ten","channel_id":"{room}","pending_post_id":"{user}:{new}","props":{}}',
            weight=3,
            status="201 Created",
            answered=_JSON,
        ),
        Shape(
            "POST /up/api/v4/channels/members/me/view",
            (61,),
            '{"channel_id":"{room}","prev_channel_id":"{new}"}',
            3,
            answered=_JSON,
        ),
        Shape("POST /up/api/v4/users/status/ids", (1_450,), '["{user}","{new}","{room}"]', 2, answered=_GO),
        Shape(
            "GET /up/api/v4/users/{room}/image?_={new}",
            (4_200, 11_000),
            answered="Content-Type: image/png\nCache-Control: max-age=86400, private\nEtag: {new}\n",
        ),
    ],
    20,
)
_APPS: Final = (_ELEMENT, _SOCKET_IO, _MATTERMOST)


def _filled(text: str, user: str = "*", room: str = "*", new: str = NEW) -> str:
    return text.replace("{user}", user).replace("{room}", room).replace("{new}", new).replace("{now}", NOW)


def _request(app: App, shape: Shape, random: Random, user: str, pause: float) -> Message:
    """As the user sends it, in compressed time."""
    room = f"!r{random.randrange(6):015d}"
    body = _filled(shape.body, user, room)
    length = (
        f"{_JSON if body and 'Content-Type' not in shape.fields else ''}Content-Length: {len(body)}\n" if body else ""
    )
    head = f"{shape.line} HTTP/1.1\nHost: localhost\n{BROWSER}{app.fields}{shape.fields}{length}\n"
    data = _filled(head, user, room).replace("\n", "\r\n") + body
    return Message("", data.encode(), pause=_compressed(pause), held=_compressed(shape.waits))


def _compressed(seconds: float) -> int:
    return round(seconds * 1_000 / SPEED)


def _answers(app: App, shape: Shape) -> list[Message]:
    lines = f"HTTP/1.1 {shape.status}\n{app.answered}{shape.answered}"
    name = f"{_filled(shape.line, new='*')} *"
    bodies = [_answer(lines, size) for size in shape.sizes] or [_sent(lines)]
    return [Message(name, one, pause=_compressed(shape.waits)) for one in bodies]


def _answer(lines: str, size: int) -> bytes:
    body = f'{{"id":"{NEW}","content":"'.ljust(size, "x")[:size]
    if "Transfer-Encoding" in lines:
        return _sent(lines) + f"{size:x}\r\n{body}\r\n0\r\n\r\n".encode()
    return _sent(f"{lines}Content-Length: {size}\n") + body.encode()


def _sent(lines: str) -> bytes:
    return f"{_filled(lines)}\n".replace("\n", "\r\n").encode()


def requests(kind: Kind) -> Exchange:
    """What all users send, two places for each."""
    random = Random(_SEED)  # noqa: S311 - the same each time
    messages: list[Message] = []
    for app in _APPS:
        for number in range(USERS):
            user = f"u{number:025d}"
            for place, shapes in enumerate((app.waiting or app.acting, app.acting)):
                waits = shapes is app.waiting
                for shape in random.choices(shapes, [one.weight for one in shapes], k=_ACTS):
                    pause = 0.1 if waits else random.expovariate(1 / app.pause)
                    one = _request(app, shape, random, user, pause)
                    messages.append(Message(f"{app.name} {user} {place}", one.data, one.pause, one.held))
    return Exchange("day", kind, messages)


def sockets() -> Exchange:
    """What clients send that were upgraded: pings, and messages of a chat."""
    random = Random(_SEED)  # noqa: S311 - the same each time
    messages: list[Message] = []
    for number in range(2 * USERS):
        for _ in range(_ACTS):
            size = random.choice((0, 0, 150, 240, 420, 900))
            opcode, mask = (b"\x81", b"\x37\xfa\x21\x3d") if size else (b"\x89", b"\x37\xfa\x21\x3d")
            length = b"\xfe" + size.to_bytes(2) if size else b"\x80"
            pause = _compressed(random.expovariate(1 / 8))
            messages.append(Message(f"socket {number}", opcode + length + mask + random.randbytes(size), pause))
    return Exchange("day-sockets", Kind.WEBSOCKET, messages)


ANSWERS: Final[Sequence[Message]] = [
    one for app in _APPS for shape in (*app.waiting, *app.acting) for one in _answers(app, shape)
]
