"""Files in memory, for libraries that only take paths: they never touch a disk."""

import fcntl
import os
import weakref
from pathlib import Path


def sealed_memory_file(name: str, content: bytes) -> int:
    """Write and seal a memory file (memfd_create(2)); the caller owns the descriptor."""
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
    """A sealed memory file that lives as long as this object. `repr` shows no content."""

    def __init__(self, name: str, content: bytes) -> None:
        descriptor = sealed_memory_file(name, content)
        self.path = Path(f"/proc/self/fd/{descriptor}")
        """Where this process, and no other, can open it."""
        weakref.finalize(self, os.close, descriptor)
