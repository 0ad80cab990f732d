"""Which code is on the hot path: compiled by mypyc, or the sources, which the interpreter runs."""

from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec
from pathlib import Path
from typing import Final

# One stands for all: they are built together, into one library.
_ONE_OF_THEM: Final = "proxy.downstream.http1.connection"


def hot_path() -> str:
    """Answer `compiled` or `interpreted`. The module is only looked for, not loaded."""
    spec = find_spec(_ONE_OF_THEM)
    return "compiled" if spec is not None and isinstance(spec.loader, ExtensionFileLoader) else "interpreted"


def compiled_for() -> frozenset[str]:
    """The Pythons that the hot path here is compiled for: `cpython-313-x86_64-linux-gnu`."""
    spec = find_spec(_ONE_OF_THEM)
    place = Path() if spec is None or spec.origin is None else Path(spec.origin).parent
    return frozenset(file.name.split(".")[1] for file in place.glob(f"{_ONE_OF_THEM.rpartition('.')[2]}.*.so"))
