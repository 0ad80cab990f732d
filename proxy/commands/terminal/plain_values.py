"""Values of the command line that need no pydantic, by which typer reads all values.

To load it takes longer than all the rest of a command that asks the running proxy.
"""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Final

from typer import core


def read_values_plainly() -> None:
    """Let typer read texts, paths and choices without pydantic from now on."""
    usual = getattr(core, "build_runtime_param", None)
    if usual is not None:  # it is internal to typer: another version works too, and takes longer
        setattr(core, "build_runtime_param", lambda descriptor: _PlainValue(descriptor, usual))  # noqa: B010 - see above


class _PlainValue:
    """Reads usual values of one parameter; typer judges all others."""

    def __init__(self, descriptor: Any, usual: Callable[[Any], Any]) -> None:
        self._descriptor: Final = descriptor
        self._usual: Final = usual

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        kind: Any = self._descriptor.annotation
        if param.multiple or param.nargs != 1:
            return self._usual(self._descriptor).coerce(value, param=param, ctx=ctx)
        if value is None or type(value) is kind:
            return value
        if kind is Path and isinstance(value, str):
            return Path(value)
        if isinstance(kind, type) and issubclass(kind, Enum) and value in {one.value for one in kind}:
            return kind(value)
        return self._usual(self._descriptor).coerce(value, param=param, ctx=ctx)
