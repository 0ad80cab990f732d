"""What answers the requests of a route instead of a server."""

from collections.abc import Callable
from dataclasses import dataclass

from proxy.http.local_answers import LocalAnswer, LocalRequest
from proxy.payload.endpoints import SlowAnswer


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An answer to each request, at once or after a slow computation."""

    answer: Callable[[LocalRequest, float], LocalAnswer | SlowAnswer]
    """Takes the request and UNIX seconds. Raises `PayloadFault`, `WrongMethod` or `WrongToken`."""
    takes_body: bool = False
    """Whether it reads the body of the request; otherwise the body is bounded and discarded."""
    mark: bytes = b""
    """Field lines of an error that answers instead."""
