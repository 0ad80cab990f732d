"""`[log]`: where lines go, in which form, and which of them. Pure."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, PlainValidator

from config.values.addresses import Refused
from config.values.kinds import Table, WrittenPath
from config.values.omissions import Omissions
from config.values.problems import Problem, Severity, listed

_MOST_SAMPLE: Final = 1_000_000


class LogFormat(StrEnum):
    """How the log is written: as JSON, as text for a terminal, or in the format of Apache."""

    JSON = "json"
    PRETTY = "pretty"
    COMBINED = "combined"


class LogField(StrEnum):
    """A further field of the line of a request."""

    USER_AGENT = "user_agent"
    REFERER = "referer"
    TLS_CIPHER = "tls_cipher"
    WIRE_BYTES = "wire_bytes"
    """Two numbers, `wire_bytes_in` and `wire_bytes_out`."""


def _parse_sample(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= _MOST_SAMPLE:
        raise Refused(f"a whole number from 2 to {_MOST_SAMPLE:_}: one success in N is logged")
    return value


class LogConfig(Table):
    """`[log]`: `file` None is standard output; `query` also logs the query of each request.

    `websocket_opens` adds a line when one opens. `fields` are further fields of a JSON line.
    `sample` names routes of which one in N successes is logged.
    """

    format: LogFormat = LogFormat.JSON
    file: WrittenPath | None = None
    query: bool = Field(default=False, strict=True)
    websocket_opens: bool = Field(default=False, strict=True)
    fields: tuple[LogField, ...] = ()
    sample: dict[str, Annotated[int, PlainValidator(_parse_sample)]] = Field(default_factory=dict)


def log_problems(log: LogConfig, routes: Iterable[str], file: str, omissions: Omissions) -> Iterator[Problem]:
    """Routes that are not there; `routes` are the names that the log has for them."""
    known = frozenset(routes)
    for route in log.sample:
        if route not in known and not omissions.touch("route"):
            yield Problem(
                file,
                omissions.key("log", "sample", route),
                f'"{route}"',
                f"a route as the log names it: {listed(known)}",
            )
    for index, field in enumerate(log.fields):
        if field in log.fields[:index]:
            key = omissions.key("log", "fields", index)
            yield Problem(file, key, f'"{field}" again', "each field once", Severity.WARNING)
