"""Lines of the access log: one for each request, and one for each connection that TLS ended. Pure.

Each request gets a line, so its JSON is put together from parts that are written once: those of the
connection, of the target, and the names of the configuration. All text goes through the escaping of
the `json` module, so any text gives one line of valid JSON, in ASCII.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from proxy.http.websocket.close import WebSocketClose
from proxy.observe.events.clients import ConnectionCut, HandshakeFailed
from proxy.observe.events.relays import PassthroughClosed, TcpClosed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

ConnectionEvent = HandshakeFailed | ConnectionCut | TcpClosed | PassthroughClosed
"""What is said of a connection once, at its end."""

# A path may have 8 KB, and ten thousand lines may wait for a slow disk.
_SHOWN_CHARACTERS: Final = 1_024
# A sentence with a name, a detail, and 32 groups.
_SENTENCE_CHARACTERS: Final = 4 * _SHOWN_CHARACTERS
_TERMINAL_PATH: Final = 60

_NO_TARGET: Final = '"host":null,"method":null,"path":null'
# "%.3f" and "%03d" cost three times as much as a look-up here.
# Compiled code looks a name that it imports up in a dictionary, each time.
quoted: Final[Callable[[str], str]] = encode_basestring_ascii
_THOUSANDTHS: Final = tuple(f"{number:03}" for number in range(1_000))
_STATUS_STYLES: Final = {1: "cyan", 2: "green", 3: "cyan", 4: "yellow", 5: "bold red"}


@dataclass(slots=True, init=False)
class ClientRecord:
    """The facts that all requests of a connection share."""

    client: str
    listener: str
    name: str | None
    group: str
    outcome: str
    resumed: bool
    protocol: str
    """`h2` or `http/1.1`."""
    subject: str | None
    """Whom the client's certificate names; None if it showed none."""
    peer: str | None
    """The address of the other end of the connection, if that is not the client."""
    cipher: str | None
    """The TLS cipher suite; None if it is not known."""
    json: str = field(default="", init=False, repr=False, compare=False)
    """Its part of a JSON line: `JsonLines` writes it once for each connection."""

    # written out, as those below: the interpreter runs that of a dataclass, 1 µs each
    def __init__(  # noqa: PLR0913 - its fields
        self,
        client: str,
        listener: str,
        name: str | None,
        group: str,
        outcome: str,
        *,
        resumed: bool,
        protocol: str,
        subject: str | None = None,
        peer: str | None = None,
        cipher: str | None = None,
    ) -> None:
        self.client = client
        self.listener = listener
        self.name = name
        self.group = group
        self.outcome = outcome
        self.resumed = resumed
        self.protocol = protocol
        self.subject = subject
        self.peer = peer
        self.cipher = cipher
        self.json = ""


@mypyc_attr(acyclic=True, free_list_len=1)
@dataclass(slots=True, init=False)
class TargetRecord:
    """The target of a request. `query` is None if it is not logged."""

    host: str | None
    method: str
    path: str
    query: str | None
    headers: Sequence[tuple[bytes, bytes]] = field(default=(), init=False, repr=False, compare=False)
    """Of the request, for `fields`."""
    fields: tuple[str, ...] = field(default=(), init=False, repr=False, compare=False)
    """Further fields of its JSON line."""
    json: str = field(default="", init=False, repr=False, compare=False)
    """Its part of a JSON line, kept because the next request often has the same target."""

    def __init__(self, host: str | None, method: str, path: str, query: str | None) -> None:
        self.host = host
        self.method = method
        self.path = path
        self.query = query
        self.headers = ()
        self.fields = ()
        self.json = ""


@mypyc_attr(acyclic=True, free_list_len=1)
@dataclass(slots=True, init=False)
class RequestRecord:
    """One request that was answered or given up. All times are in seconds, `time` is UNIX time."""

    connection: ClientRecord
    target: TargetRecord | None
    """Is None if no request was received."""
    time: float
    status: int
    request_bytes: int
    response_bytes: int
    first_byte: float
    duration: float
    upstream: str | None
    route: str | None
    request_id: str | None
    error: str | None
    messages: tuple[int, int] | None
    """WebSocket messages from the client and from the upstream."""
    closed: WebSocketClose | None
    """How the WebSocket ended."""
    sample: int
    """The number of successes of its route that the line stands for; 0 for itself."""
    opens: bool
    """Whether it is about a WebSocket that opens, and not about its end."""
    wire: tuple[int, int] | None = field(default=None, init=False)
    """Bytes that came and went on the socket, if the log has them."""

    # Written out: the interpreter runs the one of a dataclass, for 0.7 microseconds a request.
    def __init__(  # noqa: PLR0913 - its fields
        self,
        connection: ClientRecord,
        target: TargetRecord | None,
        time: float,
        status: int,
        request_bytes: int,
        response_bytes: int,
        first_byte: float,
        duration: float,
        upstream: str | None,
        route: str | None,
        request_id: str | None,
        error: str | None,
        messages: tuple[int, int] | None,
        closed: WebSocketClose | None = None,
        sample: int = 0,
        opens: bool = False,  # noqa: FBT001, FBT002 - a fact
    ) -> None:
        self.connection = connection
        self.target = target
        self.time = time
        self.status = status
        self.request_bytes = request_bytes
        self.response_bytes = response_bytes
        self.first_byte = first_byte
        self.duration = duration
        self.upstream = upstream
        self.route = route
        self.request_id = request_id
        self.error = error
        self.messages = messages
        self.closed = closed
        self.sample = sample
        self.opens = opens
        self.wire = None


def field_of(target: TargetRecord, name: str) -> str | None:
    """The value of a request field, by its name in `log.fields`; None if it was not sent."""
    wanted = name.replace("_", "-").encode("ascii")
    for field_name, value in target.headers:
        if field_name.lower() == wanted:
            return value.decode("latin-1")
    return None


class JsonLines:
    """Writes records as JSON, a line each."""

    def __init__(self) -> None:
        """Each formatter caches the text of the current moment."""
        self._clock = _Clock()
        self._places: dict[tuple[str | None, str | None], str] = {}
        self._server: str | None = None
        self._route: str | None = None
        self._last_place = ""
        """What this server and this route, the last ones, are in a line."""
        self._host: str | None = None
        self._method = ""
        self._before_path = ""
        """What comes before the path of such a host and method: those of the last new target."""

    def request(self, record: RequestRecord) -> bytes:
        connection = record.connection
        target = record.target
        shown = connection.json or self._connection(connection)
        aim = _NO_TARGET if target is None else target.json or self._target(target, connection)
        first_byte = int(record.first_byte * 1_000_000 + 0.5)
        duration = int(record.duration * 1_000_000 + 0.5)
        more = ""
        if record.messages is not None:
            more += f',"messages_in":{record.messages[0]},"messages_out":{record.messages[1]}'
        if (closed := record.closed) is not None:
            more += f',"close":{closed.code},"close_class":"{closed.kind}","closed_by":"{closed.by}"'
        if record.wire is not None:
            more += f',"wire_bytes_in":{record.wire[0]},"wire_bytes_out":{record.wire[1]}'
        if record.opens:
            more += ',"websocket":"open"'
        if record.sample:
            more += f',"sample":{record.sample}'
        if record.error is not None:
            more += f',"error":{_text(record.error)}'
        line = (
            f'{{"time":"{self._clock.shown(record.time)}",{shown},{aim},"status":{record.status},"request_bytes":'
            f'{record.request_bytes},"response_bytes":{record.response_bytes},'
            f'"first_byte_ms":{first_byte // 1000}.{_THOUSANDTHS[first_byte % 1000]},'
            f'"duration_ms":{duration // 1000}.{_THOUSANDTHS[duration % 1000]}'
            f'{self._place(record)},"request_id":{_text(record.request_id)}{more}}}\n'
        )
        return line.encode("ascii")

    def _place(self, record: RequestRecord) -> str:
        """Its server and its route: names of the configuration, so there are few."""
        if record.upstream is self._server and record.route is self._route and self._last_place:
            return self._last_place
        if (place := self._places.get((record.upstream, record.route))) is None:
            place = f',"upstream":{_text(record.upstream)},"route":{_text(record.route)}'
            self._places[record.upstream, record.route] = place
        self._server = record.upstream
        self._route = record.route
        self._last_place = place
        return place

    def _connection(self, record: ClientRecord) -> str:
        record.json = (
            f'"client":{quoted(record.client)},"listener":{quoted(record.listener)},"name":{_text(record.name)},'
            f'"group":{quoted(record.group)},"outcome":{quoted(record.outcome)},"resumed":{str(record.resumed).lower()},'
            f'"protocol":{quoted(record.protocol)}'
        )
        if record.subject is not None:
            record.json += f',"subject":{_text(record.subject)}'
        if record.peer is not None:
            record.json = (
                f'"client":{quoted(record.client)},"peer":{quoted(record.peer)},' + record.json.partition(",")[2]
            )
        return record.json

    def _target(self, record: TargetRecord, connection: ClientRecord) -> str:
        if record.host != self._host or record.method != self._method or not self._before_path:
            self._before_path = f'"host":{_text(record.host)},"method":{quoted(record.method)},"path":'
            self._host = record.host
            self._method = record.method
        record.json = self._before_path + _text(record.path)
        if record.query is not None:
            record.json += f',"query":{_text(record.query)}'
        for name in record.fields:
            value = connection.cipher if name == "tls_cipher" else field_of(record, name)
            record.json += f',"{name}":{_text(value)}'
        return record.json

    def event(self, time: float, event: ConnectionEvent) -> bytes:
        """Write the line of a connection that failed, at `time` in UNIX seconds."""
        facts = {key: _shortened(value) if isinstance(value, str) else value for key, value in event.as_json().items()}
        line = json.dumps({"time": self._clock.shown(time), **facts}, separators=(",", ":"))
        return f"{line}\n".encode("ascii")


class PrettyLines:
    """Writes records for a terminal: aligned, coloured where `console` has colours."""

    def __init__(self, console: "Console") -> None:
        """`console` tells which colours the terminal has; lines are returned, not printed."""
        from rich.text import Text  # imported here: other logs do not wait for rich at their start

        self._assembled: Callable[..., Text] = Text.assemble
        self._clock = _Clock()
        self._console = console

    def request(self, record: RequestRecord) -> bytes:
        target = record.target or TargetRecord("-", "-", "-", None)
        path = _printable((target.host or "-") + target.path, _TERMINAL_PATH)
        line = self._assembled(
            (self._clock.shown(record.time)[11:], "dim"),
            "  ",
            (str(record.status), _STATUS_STYLES.get(record.status // 100, "bold red")),
            f"  {_printable(target.method):7} {path:{_TERMINAL_PATH}} ",
            (f"{record.duration * 1000:9.1f} ms {_size(record.response_bytes):>9}  ", "cyan"),
            (record.connection.group, "green" if record.connection.outcome.startswith("hybrid") else "yellow"),
            (f"  {record.connection.protocol}", "dim"),
            ("  resumed" if record.connection.resumed else "", "dim"),
            f"  {record.connection.client}",
        )
        if record.connection.subject is not None:
            line.append(f"  {_printable(record.connection.subject)}", "dim")
        if record.messages is not None:
            line.append(f"  messages {record.messages[0]} in, {record.messages[1]} out", "magenta")
        if record.closed is not None:
            line.append(f"  closed by the {record.closed.by} ({record.closed.code})", "magenta")
        if record.error is not None:
            line.append(f"  {_printable(record.error)}", "red")
        return self._rendered(line)

    def event(self, time: float, event: ConnectionEvent) -> bytes:
        sentence = _printable(event.sentence(), _SENTENCE_CHARACTERS)
        line = self._assembled((self._clock.shown(time)[11:], "dim"), "  ", ("TLS", "bold red"), f"  {sentence}")
        return self._rendered(line)

    def sentences(self, time: float, lines: Sequence[str]) -> bytes:
        """Write an event that is not an end of a connection. Further lines stand under the
        first."""
        shown = self._clock.shown(time)[11:]
        first, *others = lines
        whole = self._assembled((shown, "dim"), f"  {first}")
        for one in others:
            whole.append(f"\n{'':{len(shown)}}  {one}")
        return self._rendered(whole)

    def _rendered(self, line: "Text") -> bytes:
        with self._console.capture() as capture:
            self._console.print(line, soft_wrap=True, highlight=False)
        return capture.get().encode("utf-8", "replace")


class _Clock:
    """RFC 3339 in UTC with milliseconds. Each second and millisecond is formatted once."""

    def __init__(self) -> None:
        self._second = self._millisecond = -1
        self._second_text = self._text = ""

    def shown(self, time: float) -> str:
        millisecond = int(time * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second = millisecond // 1000
            if second != self._second:
                self._second = second
                self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._text = f"{self._second_text}.{_THOUSANDTHS[millisecond % 1000]}Z"
        return self._text


def _text(value: str | None) -> str:
    if value is None:
        return "null"
    # written out, not by `_shortened`: each request has one of these
    return quoted(value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "...")


def _shortened(value: str) -> str:
    return value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "..."


def _printable(value: str, most: int = _SHOWN_CHARACTERS) -> str:
    """Escape what could steer a terminal, and cut what is longer than `most`."""
    shown = value if value.isprintable() else value.encode("unicode_escape").decode("ascii")
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def _size(count: int) -> str:
    if count < 10_000:
        return f"{count} B"
    return f"{count / 1_000:.0f} kB" if count < 10_000_000 else f"{count / 1_000_000:.0f} MB"
