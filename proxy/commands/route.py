"""`plexigate route`: says which route takes a request, and what happens to it.

The parts that judge requests in the proxy judge this one as well. No request is sent.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from config.loading.loader import load
from config.schema import Config, RouteConfig
from config.values.addresses import name_matches
from config.values.problems import ConfigError
from proxy.auth.sign_in import SIGN_IN_PATH
from proxy.building.request_limits import http_limits
from proxy.building.routes.payload import PayloadRules, throwaway_keys
from proxy.building.routes.replies import fixed_reply
from proxy.building.routes.routes import RouteParts, route_table
from proxy.commands.terminal.console import error_console
from proxy.commands.terminal.problem_table import print_problems
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.request import Request, RequestReader
from proxy.downstream.requests.targets import RouteTarget, chosen, place_of, target_for_server
from proxy.http.head import MalformedMessage
from proxy.http.local_answers import LocalRequest, WrongMethod
from proxy.payload.messages.uses import PayloadUses

_REFUSED: Final = 1
_UNUSABLE: Final = 2


app = typer.Typer()


@app.command(epilog="Example: plexigate route plexigate.toml https://chat.example.org/x --method POST")
def route(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration, in TOML.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="What is asked for.")],
    method: Annotated[str, typer.Option(help="The method.")] = "GET",
    header: Annotated[
        list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="A field of the request; can be repeated.")
    ] = None,
    client: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where the request comes from.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the answer as JSON.")] = False,
) -> None:
    """Show which route takes a request, and what happens to it.

    No request is sent. Exits with 0 when the request is answered, with 1 when it is
    refused, with 2 when the configuration cannot be used.
    """
    raw = _written(url, method, header or [])
    if client is not None:
        try:
            ip_address(client)
        except ValueError:
            raise typer.BadParameter("an address, such as 192.0.2.1", param_hint="--client") from None
    try:
        config = load(file).config
    except ConfigError as error:
        print_problems(error.problems, error_console())
        raise typer.Exit(_UNUSABLE) from None

    course = course_of(config, raw, client)
    if as_json:
        typer.echo(json.dumps(asdict(course), indent=2))
    else:
        _print(course)
    if course.is_refused:
        raise typer.Exit(_REFUSED)


def _written(url: str, method: str, headers: Sequence[str]) -> bytes:
    """The request as a client would send it."""
    parts = urlsplit(url)
    target = url.partition("://")[2].removeprefix(parts.netloc) or "/"
    target = target if target.startswith("/") else f"/{target}"
    text = "".join(f"{line}\r\n" for line in (f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", *headers, ""))
    has_break = any("\r" in one or "\n" in one for one in (url, method, *headers))
    if parts.scheme != "https" or not parts.netloc or not text.isascii() or has_break:
        raise typer.BadParameter("an address such as https://chat.example.org/path, in ASCII", param_hint="URL")
    return text.encode("ascii")


def _print(course: "Course") -> None:
    lines = [("route", course.route or "none"), ("answer", course.answer)]
    if course.target is not None:
        lines.append(("path sent", course.target))
    lines += [("demands", demand) for demand in course.demands]
    if course.reason is not None:
        lines.append(("because", course.reason))
    for name, value in lines:
        typer.echo(f"{name:<10} {value}")


@dataclass(frozen=True, slots=True)
class Course:
    """What happens to a request. What does not apply is None."""

    route: str | None
    """As in the log: host, path and conditions."""
    answer: str
    """Who answers: `upstream NAME`, `respond`, `redirect`, `admin_page`, or `error STATUS`."""
    target: str | None
    """What the server is asked for."""
    demands: tuple[str, ...]
    """What the connection must be or have; this command does not know it."""
    reason: str | None
    """Why the request is refused."""

    @property
    def is_refused(self) -> bool:
        """Whether the client gets an error of the proxy."""
        return self.reason is not None


def course_of(config: Config, raw: bytes, client: str | None) -> Course:
    """Judge a request of HTTP/1.1; `client` is the address that it comes from, None if unknown."""
    try:
        request = RequestReader().read(raw, http_limits(config.limits).head)
    except MalformedMessage as error:
        return _refused(None, error.status, error.reason)
    host = request.framing.host.decode("ascii")
    if not any(name_matches(name, host) for one in config.identity.values() for name in one.names):
        return _refused(None, 421, "no identity has this name, so no client can ask for it")
    rules = PayloadRules.of(config, throwaway_keys(config), PayloadUses())
    place = place_of(request.framing, route_table(config, RouteParts(rules)))
    found = place
    if isinstance(place, RouteTarget) and place.alternatives is not None:
        found = chosen(place.alternatives, request.head.method, request.framing)
    if isinstance(found, RequestRefusal):
        return _refused(None, found.status, found.detail)
    return _taken(config, request, found, client)


def _taken(config: Config, request: Request, found: RouteTarget, client: str | None) -> Course:
    route = next((one for one in config.route if one.entry_name == found.label), None)
    if route is None:
        answer = "the form for a token" if found.label.endswith(SIGN_IN_PATH) else "sessions of payload encryption"
        return Course(found.label, answer, None, (), None)
    target: bytes | RequestRefusal = request.framing.target
    if found.path_change is not None:
        target = target_for_server(found.path_change, request.framing.target)
    if isinstance(target, RequestRefusal):
        return _refused(found.label, target.status, target.detail)
    if client is not None and found.access is not None and not found.access.admits(client.encode("ascii")):
        return _refused(found.label, 403, f"the route is not for the network of {client} (allow, deny)")
    if route.respond is not None:
        try:
            asked = LocalRequest(request.head.method, request.framing.host, request.framing.target, [], b"")
            fixed_reply(route, route.respond, b"", b"").answer(asked, 0.0)
        except WrongMethod as error:
            return _refused(found.label, 405, f"the route answers {error.allowed.decode()}")
    if route.upstream is None:
        answer = next(key for key in ("respond", "redirect", "admin_page") if getattr(route, key) is not None)
        return Course(found.label, answer, None, tuple(_demands(route, client)), None)
    return Course(
        found.label, f"upstream {route.upstream}", target.decode("latin-1"), tuple(_demands(route, client)), None
    )


def _refused(route: str | None, status: int, reason: str) -> Course:
    return Course(route, f"error {status}", None, (), reason)


def _demands(route: RouteConfig, client: str | None) -> list[str]:
    told = [
        (route.pq is not None, "post-quantum key exchange"),
        (route.client_certificate is not None, "a client certificate"),
        (client is None and bool(route.allow or route.deny), "a client of an allowed network (try --client)"),
        (route.rate is not None, "no more requests than its rate allows"),
        (route.auth is not None, "the consent of the authorization server"),
        (route.basic_auth is not None, "a name and a password"),
        (route.admin_page is not None and route.admin_page.tokens is not None, "a token of the admin page"),
    ]
    return [demand for is_demanded, demand in told if is_demanded]
