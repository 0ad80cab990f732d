"""Build what routes answer themselves: fixed answers, and redirects."""

from collections.abc import Mapping
from pathlib import Path

from config.routes.conditions import with_head
from config.routes.replies import RespondConfig
from config.schema import RouteConfig
from config.values.problems import Location
from proxy.building.files import read_bounded
from proxy.building.foundation import Foundation
from proxy.downstream.requests.endpoint import Endpoint
from proxy.routes.redirects import Redirect
from proxy.routes.replies import MOST_BYTES, Reply, content_type_of

_TEXT = b"text/plain; charset=utf-8"


def route_endpoints(foundation: Foundation) -> Mapping[str, Endpoint]:
    """The endpoint of each route that has no server, by its name.

    After an error an endpoint is a substitute, which is never used: the error stops the build.
    """
    contents: dict[Path, bytes] = {}
    endpoints = {}
    for index, route in enumerate(foundation.loaded.config.route):
        if route.respond is not None:
            content_type, body = _content(foundation, ("route", index, "respond"), route.respond, contents)
            endpoints[route.entry_name] = Endpoint(fixed_reply(route, route.respond, content_type, body).answer)
        elif route.redirect is not None:
            endpoints[route.entry_name] = Endpoint(Redirect(route.redirect.to, route.redirect.status).answer)
    return endpoints


def _content(
    foundation: Foundation, place: Location, settings: RespondConfig, contents: dict[Path, bytes]
) -> tuple[bytes, bytes]:
    if settings.file is None:
        return _TEXT, (settings.body or "").encode()
    body = read_bounded(foundation, (*place, "file"), settings.file, MOST_BYTES, contents) or b""
    return content_type_of(settings.file), body


def fixed_reply(route: RouteConfig, settings: RespondConfig, content_type: bytes, body: bytes) -> Reply:
    """What the route answers by its `respond`, with this content."""
    methods = frozenset(method.encode() for method in with_head(route.methods or ()))
    headers = {name.encode(): value.encode() for name, value in settings.headers.items()}
    return Reply(settings.status, headers, content_type, body, methods)
