"""What native classes of the product say, taken apart: such a class has no equality of its own."""

from typing import Final

from proxy.http.fields import Fields, ResponseField
from proxy.http.framing import RequestFraming
from proxy.http.head import RequestHead, ResponseHead

_SAID: Final = {
    RequestHead: "method target minor_version headers major_version never_indexed",
    RequestFraming: (
        "body length keep_alive expects_continue accepts_trailers websocket host host_field target fields"
    ),
    Fields: "forwarded claims special removed lines",
    ResponseField: "treatment line name value",
    ResponseHead: "status reason minor_version headers major_version",
}


def facts(value: object) -> object:
    """All that a value says; other types are as they are."""
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(map(facts, value))
    names = _SAID.get(type(value))
    return value if names is None else {name: facts(getattr(value, name)) for name in names.split()}
