"""Values of fields with variables in them. Pure."""

import re
from collections.abc import Iterable
from typing import Final

from config.routes.fields import Variable
from proxy.http.grammar import is_field_value

# A trusted peer may name its client in other ways (RFC 7239 section 6), in any characters.
_ADDRESS: Final = re.compile(rb"[0-9A-Fa-f:.]{2,45}")
_UNKNOWN: Final = b"unknown"


class RequestValues:
    """What the variables stand for in one request.

    All of it is ours or was judged before, so it cannot end a field line: the host by the rules for
    Host, the id by those for ids. The address is judged here.
    """

    def __init__(self, client: bytes, host: bytes, request_id: bytes, group: bytes) -> None:
        """`client` is its address as text, or what a trusted peer says instead."""
        self.client: Final = client if _ADDRESS.fullmatch(client) else _UNKNOWN
        self.host: Final = host
        self.request_id: Final = request_id
        self.group: Final = group


class Template:
    """A value, or a value with gaps."""

    def __init__(self, parts: Iterable[str | Variable]) -> None:
        """`parts` are text in ASCII, and variables."""
        self._parts: Final = [part if isinstance(part, Variable) else part.encode("ascii") for part in parts]
        is_plain = not any(isinstance(part, Variable) for part in self._parts)
        self.text: Final = b"".join([part for part in self._parts if isinstance(part, bytes)]) if is_plain else None
        """The value, if no variable is in it."""
        self.names_request: Final = Variable.REQUEST_ID in self._parts
        """Whether it is another one for each request of a client."""

    def filled(self, values: RequestValues) -> bytes:
        value = b"".join([part if isinstance(part, bytes) else _value(part, values) for part in self._parts])
        assert is_field_value(value)  # see `RequestValues`
        return value


def _value(variable: Variable, values: RequestValues) -> bytes:
    if variable is Variable.CLIENT:
        return values.client
    if variable is Variable.HOST:
        return values.host
    if variable is Variable.REQUEST_ID:
        return values.request_id
    return values.group
