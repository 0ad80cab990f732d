"""Builds and tells `shim.c`, which kills a process in the middle of what it writes, or lets its disk be full."""

import errno
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Final

from tests import prepared
from tests.c_library import build_library

_SOURCE: Final = Path(__file__).with_name("shim.c")
_CONTROL: Final = struct.Struct("@llll")
_SIZE: Final = _CONTROL.size + 4_096
_NEVER: Final = 1 << 40
KILL: Final = 0
FULL: Final = errno.ENOSPC
READ_ONLY: Final = errno.EROFS


@dataclass
class Stopper:
    """What all processes share that were started with its `environment`."""

    environment: Mapping[str, str]
    _shared: mmap

    @classmethod
    @contextmanager
    def of(cls, beside: Path) -> "Iterator[Stopper]":
        """Make one with its files in `beside`, and a prepared process with it. Fails aloud without a compiler."""
        shim, control = build_library(_SOURCE, beside / "half_written.so", "-O1"), beside / "half_written.control"
        control.write_bytes(bytes(_SIZE))
        environment = {"LD_PRELOAD": str(shim), "HALF_WRITTEN": str(control)}
        with control.open("r+b") as file, mmap(file.fileno(), _SIZE) as shared, prepared.with_own(environment):
            yield cls(environment, shared)

    def watch(self, directory: Path) -> None:
        """From now on, it is about what is changed below a directory."""
        self._shared[_CONTROL.size :] = str(directory).encode().ljust(_SIZE - _CONTROL.size, b"\0")

    def arm(self, left: int = _NEVER, error: int = KILL) -> None:
        """From now on, let so many calls go well, and then kill, or fail all with `error`."""
        _CONTROL.pack_into(self._shared, 0, 1, left, error, 0)

    def disarm(self) -> int:
        """Let all calls go well again; answers how many came since `arm`."""
        seen: int = _CONTROL.unpack_from(self._shared)[3]
        _CONTROL.pack_into(self._shared, 0, 0, 0, 0, seen)
        return seen

    def processes(self) -> set[int]:
        """Those that were started with the shim, and not forked."""
        variable = f"HALF_WRITTEN={self.environment['HALF_WRITTEN']}".encode()
        found = set()
        for place in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):  # it has ended meanwhile
                is_prepared = b"tests.prepared" in place.with_name("cmdline").read_bytes()
                if variable in place.read_bytes().split(b"\0") and not is_prepared:
                    found.add(int(place.parent.name))
        return found
