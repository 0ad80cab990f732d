"""The options of commands that ask the running proxy: how to find it, how to show its answer."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration that names the admin socket.")
]
SocketOption = Annotated[Path | None, typer.Option("--socket", metavar="PATH", help="Path of the admin socket.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write the answer as JSON.")]
