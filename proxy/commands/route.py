"""`plexigate route`: says which route takes a request, and what happens to it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from config.loading.loader import load
from config.values.problems import ConfigError
from proxy.commands.terminal.console import error_console
from proxy.commands.terminal.problem_table import print_problems

if TYPE_CHECKING:
    from proxy.commands.course import Course

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
    from proxy.commands.course import course_of  # here: without it the other commands start faster

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
