"""The options of each command that asks the running proxy: how to find it."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration that names the admin socket.", show_default=False),
]
SocketOption = Annotated[
    Path | None, typer.Option("--socket", metavar="PATH", help="Path of the admin socket.", show_default=False)
]
