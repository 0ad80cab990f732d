"""Which code is on the hot path: compiled by mypyc, or the sources, which the interpreter runs."""

from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec
from typing import Final

# One stands for all: they are built together, into one library.
_ONE_OF_THEM: Final = "proxy.downstream.connection"


def hot_path() -> str:
    """Answer `compiled` or `interpreted`. The module is only looked for, not loaded."""
    spec = find_spec(_ONE_OF_THEM)
    return "compiled" if spec is not None and isinstance(spec.loader, ExtensionFileLoader) else "interpreted"
