"""Files in memory, for libraries that take paths only: nothing of them touches a disk, and nobody else can open them by name."""

import fcntl
import os
import weakref
from pathlib import Path


def sealed_memory_file(name: str, content: bytes) -> int:
    """Write a memory file that nobody can change any more (memfd_create(2), F_ADD_SEALS); the descriptor is the caller's."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class MemoryFile:
    """A sealed memory file for as long as somebody has this object. `repr` shows no content."""

    def __init__(self, name: str, content: bytes) -> None:
        """Write it."""
        descriptor = sealed_memory_file(name, content)
        self.path = Path(f"/proc/self/fd/{descriptor}")
        """Where this process, and no other, can open it."""
        weakref.finalize(self, os.close, descriptor)
