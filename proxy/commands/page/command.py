"""`plexigate page`: shows the page of the running proxy in a browser."""

import asyncio
import contextlib
import webbrowser
from typing import Annotated
from urllib.parse import urlsplit

import typer

from config.values.problems import ConfigError
from proxy.admin.client import AdminUnreachable, connect
from proxy.commands.terminal.asking import ConfigOption, SocketOption, ended

app = typer.Typer()


@app.command(epilog="Example: plexigate page --port 8765")
def page(
    config: ConfigOption = None,
    socket: SocketOption = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Loopback port to serve the page on; 0 takes any.")] = 0,
    is_opened: Annotated[bool, typer.Option("--open", help="Open the page in the browser of this machine.")] = False,
) -> None:
    """Show the page of the running proxy: serve it on a loopback port until Ctrl-C.

    The URL has a secret of this run in it. It lets a person look, and
    change nothing. Over SSH, forward the port to your own machine first.
    """
    try:
        client = connect(config, socket)
        client.get("/healthz")
    except (ConfigError, AdminUnreachable) as error:
        raise ended(str(error)) from None
    from proxy.commands.page.forwarder import forward_until_cancelled  # here: the other commands start faster

    def tell(url: str) -> None:
        place = urlsplit(url).netloc.rpartition(":")[2]
        typer.echo(f"{url}\n\nThe page is there until Ctrl-C. From another machine, first run there:")
        typer.echo(f"  ssh -L {place}:127.0.0.1:{place} USER@THIS-MACHINE")
        if is_opened:
            webbrowser.open(url)

    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(forward_until_cancelled(client.path, port, tell))
    except OSError as error:
        raise ended(f"127.0.0.1:{port}: {error.strerror or error}; choose another --port, or leave it out") from None
