"""Lines of the access log in the combined format of Apache, for tools that read it. Pure.

All text of a client is quoted as Apache does it: a quotation mark and a backslash get a backslash,
every octet that is not visible ASCII becomes \\xhh. So no request can add a line or a column.
"""

import json
from datetime import UTC, datetime
from typing import Final

from proxy.observe.logs.access_log import ConnectionEvent, RequestRecord, TargetRecord, field_of

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_VERSIONS: Final = {"h2": "HTTP/2.0", "h3": "HTTP/3.0"}
_SHOWN_CHARACTERS: Final = 1_024
_QUOTED: Final = {
    code: f"\\{chr(code)}" if chr(code) in '"\\' else f"\\x{code:02x}"
    for code in range(256)
    if not 0x20 <= code <= 0x7E or chr(code) in '"\\'
}


class CombinedLines:
    """Writes records in the combined format, a line each."""

    def __init__(self) -> None:
        """The text of the current second is kept."""
        self._second = -1
        self._shown = ""

    def request(self, record: RequestRecord) -> bytes:
        """Write the line of a request; nothing for a connection that sent none."""
        target = record.target
        connection = record.connection
        if target is None:
            return b""
        size = str(record.response_bytes) if record.response_bytes else "-"
        return (
            f'{connection.client} - - [{self._time(record.time)}] "{_line(target, connection.protocol)}" '
            f'{record.status} {size} "{_field(target, "referer")}" "{_field(target, "user_agent")}"\n'
        ).encode("ascii")

    def event(self, time: float, event: ConnectionEvent) -> bytes:
        """Write the line of a connection that failed, as JSON: the format has none for it."""
        shown = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"time": shown, **event.as_json()}).encode("ascii") + b"\n"

    def _time(self, time: float) -> str:
        second = int(time)
        if second != self._second:
            at = datetime.fromtimestamp(second, UTC)  # not by strftime, whose months have a language
            self._shown = (
                f"{at.day:02}/{_MONTHS[at.month - 1]}/{at.year}:{at.hour:02}:{at.minute:02}:{at.second:02} +0000"
            )
            self._second = second
        return self._shown


def _line(target: TargetRecord, protocol: str) -> str:
    query = "" if target.query is None else f"?{target.query}"
    return f"{_quoted(target.method)} {_quoted(target.path + query)} {_VERSIONS.get(protocol, 'HTTP/1.1')}"


def _field(target: TargetRecord, name: str) -> str:
    value = field_of(target, name)
    return "-" if not value else _quoted(value)


def _quoted(text: str) -> str:
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
    return shown.encode("latin-1", "replace").decode("latin-1").translate(_QUOTED)
