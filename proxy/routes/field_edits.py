"""What a route changes in the fields of requests and responses. Pure.

The fields are whole lines, as they are sent. What frames a message, and what the proxy says about
the client, is written behind the edits or cannot be named in them (`config.routes.fields`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.http.fields import plain_name
from proxy.http.responses import Response
from proxy.routes.templates import RequestValues, Template

_LINE_END: Final = b"\r\n"
_HOST: Final = b"host"
# What answers of the proxy itself may have already: a second line would contradict the first.
_OF_OWN_ANSWERS: Final = frozenset(
    b"accept-encoding allow cache-control content-type date retry-after sec-websocket-version upgrade vary"
    b" www-authenticate x-request-id".split()
)

NamedTemplate = tuple[bytes, Template]
"""The name of a field as it is written, and its value."""


@dataclass(frozen=True, slots=True)
class FieldDefault:
    """A field that a response gets if it has none of certain fields."""

    line: bytes
    """With its CRLF."""
    unless: frozenset[bytes]
    """Lower-case names, its own among them."""


class FieldEdits:
    """Fields to remove, to set, to add, and those that only fill a gap."""

    def __init__(
        self,
        *,
        removed: Iterable[bytes] = (),
        put: Sequence[NamedTemplate] = (),
        added: Sequence[NamedTemplate] = (),
        defaults: Sequence[FieldDefault] = (),
    ) -> None:
        """`put` fields take the place of those of the same name."""
        self._gone: Final = frozenset([name.lower() for name in (*removed, *(name for name, _ in put))])
        self._twins: Final = frozenset(map(plain_name, self._gone))
        self._added: Final = (*put, *added)
        self._defaults: Final = tuple(defaults)
        self._new: Final = frozenset([name.lower() for name, _ in self._added])
        self.needs_values: Final = any(value.text is None for _, value in self._added)
        """Whether a value depends on the request."""
        plain = [b"%b: %b\r\n" % (name, value.text) for name, value in self._added if value.text is not None]
        self._lines: Final = None if self.needs_values else plain
        self.is_per_request: Final = any(value.names_request for _, value in self._added)
        """Whether a value is another one for each request of a client."""
        # a server repeats its responses, and the reader then gives the same object: 2 µs each
        self._last: Response | None = None
        self._changed: Response | None = None
        # so do the values: the name of the host is the same for all clients
        self._filled: Response | None = None
        self._filling: list[bytes] = []

    def lines(self, values: Callable[[], RequestValues]) -> list[bytes]:
        if self._lines is not None:
            return self._lines
        filled = values()
        return [b"%b: %b\r\n" % (name, value.filled(filled)) for name, value in self._added]

    def edited(self, lines: Sequence[bytes], values: Callable[[], RequestValues]) -> list[bytes]:
        """Field lines with the edits made; each has its CRLF."""
        kept = self._without_values(lines)
        return kept + self.lines(values) if self.needs_values else kept

    def _without_values(self, lines: Sequence[bytes]) -> list[bytes]:
        """All edits but the lines that need values."""
        kept = [line for line in lines if _name(line) not in self._gone] if self._gone else list(lines)
        if self._lines is not None:
            kept += self._lines
        if self._defaults:
            present = self._new | {_name(line) for line in kept}
            kept += [one.line for one in self._defaults if present.isdisjoint(one.unless)]
        return kept

    def in_response(self, response: Response, lines: list[bytes]) -> Response:
        """The response with the edits made. What frames it is not among its lines.

        `lines` are those of `lines`, and are ignored unless it `needs_values`.
        """
        if response is self._last and self._changed is not None:
            changed = self._changed
        else:
            changed = response.with_lines(self._without_values(response.forwarded))
            if response.is_remembered:
                self._last = response
                self._changed = changed
                self._filled = None
        if not self.needs_values:
            return changed
        if changed is not self._changed or self.is_per_request:
            return changed.with_lines(changed.forwarded + lines)
        if self._filled is None or lines != self._filling:
            self._filled = changed.with_lines(changed.forwarded + lines)
            self._filling = lines
        return self._filled

    def in_request(self, fields: bytes, values: Callable[[], RequestValues]) -> bytes:
        """The field lines of a request with the edits made. Host stays in front.

        What is removed or set goes in every spelling that a server could take for it (see
        `plain_name`): a client could else say it as `X_Name`.
        """
        lines = [line + _LINE_END for line in fields.split(_LINE_END)[:-1]]
        if self._gone:
            lines = [line for line in lines if plain_name(_name(line)) not in self._twins]
        edited = self.edited(lines, values)
        if _HOST in self._new:
            edited.sort(key=_is_not_host)
        return b"".join(edited)

    def beside(self, own: bytes, values: Callable[[], RequestValues]) -> bytes:
        """The field lines that an internal error gets, which has the lines `own` already.

        It keeps what it says itself: an error must not be cached because the route is.
        """
        present = {_name(line) for line in own.split(_LINE_END) if line}
        lines = [line for line in self.lines(values) if _name(line) not in present | _OF_OWN_ANSWERS]
        present |= {_name(line) for line in lines}
        return b"".join(lines + [one.line for one in self._defaults if present.isdisjoint(one.unless)])


def _name(line: bytes) -> bytes:
    return line[: line.index(b":")].lower()


def _is_not_host(line: bytes) -> bool:
    return _name(line) != _HOST
