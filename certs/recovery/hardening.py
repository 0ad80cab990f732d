"""Keeps the memory of a short-lived process out of swap, core dumps and other processes."""

import ctypes
import os
import resource
from pathlib import Path
from typing import Final

# <sys/mman.h>, <sys/prctl.h>
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_PR_SET_DUMPABLE: Final = 4

_SWAPS: Final = Path("/proc/swaps")


class NotHardened(Exception):
    """The system refuses to protect the key's memory; `allowed` is how to fix what was `found`."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(found, allowed)
        self.found = found
        self.allowed = allowed

    def __str__(self) -> str:
        return f"the memory of this process cannot be protected: {self.found}; allowed: {self.allowed}"


def harden(swaps: Path = _SWAPS) -> None:
    """Forbid core dumps, access by other processes (also of the same user), and swapping of this
    memory.

    If the memory cannot be locked, a system without swap suffices (`swaps` lists swap areas).
    Raises `NotHardened`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise NotHardened(f"prctl: {os.strerror(ctypes.get_errno())}", "a kernel that knows PR_SET_DUMPABLE")
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) == 0:
        return
    reason = os.strerror(ctypes.get_errno())
    if _has_swap(swaps):
        raise NotHardened(
            f"mlockall: {reason}, and there is swap",
            "no swap (swapoff -a), or the right to lock memory: root, CAP_IPC_LOCK, or a larger limit (ulimit -l)",
        )


def _has_swap(swaps: Path) -> bool:
    try:
        return len(swaps.read_text(encoding="ascii").splitlines()) > 1  # the first is the heading
    except OSError:
        return True  # unknown: assume that there is swap
