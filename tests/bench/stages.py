"""Sorts the samples of `perf script` into the stages of a request or a handshake.

Only the kernel has call chains: neither Python nor OpenSSL keeps frame pointers. So a sample of the
kernel is known by its system call, and a sample of a program by the function that it is in.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

# An address, a function (perhaps with an offset), and its file in parentheses.
_FRAME: Final = re.compile(r"\s+[0-9a-f]+ (?P<symbol>.+?) \((?P<file>[^()]*)\)$")
# The outermost function of a system call may be missing: compilers make calls at the end of one jumps.
_SYSTEM_CALL: Final = re.compile(r"(?:__x64_sys|__do_sys|__sys|ksys|do)_(\w+)")
_CALLS: Final = {
    "recvfrom": "kernel: receive",
    "recvmsg": "kernel: receive",
    "read": "kernel: receive",
    "readv": "kernel: receive",
    "sendto": "kernel: send",
    "sendmsg": "kernel: send",
    "write": "kernel: send",
    "writev": "kernel: send",
    "sendfile64": "kernel: send",
    "epoll_wait": "kernel: wait for events",
    "epoll_pwait": "kernel: wait for events",
    "epoll_ctl": "kernel: register sockets",
    "accept4": "kernel: accept",
    "close": "kernel: close",
    "shutdown": "kernel: close",
    "mmap": "kernel: memory",
    "munmap": "kernel: memory",
    "brk": "kernel: memory",
    "madvise": "kernel: memory",
}
# Frames that say what the kernel does outside of a system call. Sockets are closed on the way back.
_KERNEL_WORK: Final = {"____fput": "kernel: close", "asm_exc_page_fault": "kernel: memory"}
_LIBRARIES: Final = {
    "libcrypto": "OpenSSL: libcrypto",
    "libssl": "OpenSSL: libssl",
    "libc": "libc: memory, copies",
    "[vdso]": "clock",
    "_ssl": "module ssl",
    "_ctypes": "ctypes",
    "libffi": "ctypes",
    "parser": "httptools",
    "loop": "uvloop",
    "nginx": "its own code (nginx)",
}
_EVALUATION: Final = ("_PyEval", "_PyFrame", "PyEval", "_PyFunction_Vectorcall", "_PyCode", "_PyGen", "PyGen")


@dataclass(frozen=True, slots=True)
class Frame:
    """A function and the base name of the file that holds it."""

    symbol: str
    file: str


def samples(lines: Iterable[str]) -> Iterator[list[Frame]]:
    """The call chains of `perf script -F ip,sym,dso`, the innermost frame first."""
    chain: list[Frame] = []
    for line in lines:
        found = _FRAME.match(line)
        if found is not None:
            chain.append(Frame(found["symbol"].partition("+")[0], PurePath(found["file"]).name))
        elif not line.strip() and chain:
            yield chain
            chain = []
    if chain:
        yield chain


class Stages:
    """Names the stage of a sample, given the paths of all compiled modules."""

    def __init__(self, modules: Iterable[str]) -> None:
        """`modules` are paths like "proxy/http/head.py"."""
        self._modules: Final[dict[str, str]] = {}
        for module in modules:
            parts = module.removesuffix(".py").split("/")
            # mypyc names a function after the shortest end of its module's name that is unique
            self._modules.update(("___".join(parts[first:]), module) for first in range(len(parts)))

    def stage(self, chain: list[Frame]) -> str:
        """The stage of a call chain."""
        innermost = chain[0]
        if innermost.file.startswith("[kernel"):
            return _kernel_stage(chain)
        if "__mypyc" in innermost.file:
            module = self.module(innermost.symbol)
            return "compiled: mypyc's own" if module is None else f"compiled: {module.rpartition('/')[0]}"
        if innermost.file.startswith("python3"):
            is_evaluation = innermost.symbol.startswith(_EVALUATION)
            return "Python: interpreted code" if is_evaluation else "Python: objects and calls"
        library = innermost.file.partition(".")[0]
        return _LIBRARIES.get(library, "other libraries")

    def module(self, symbol: str) -> str | None:
        """The path of the module that a compiled function is of; None for what mypyc adds."""
        name = re.sub(r"^(CPyDef|CPyPy)_", "", symbol)
        parts = name.split("___")
        for length in range(len(parts) - 1, 0, -1):
            module = self._modules.get("___".join(parts[:length]))
            if module is not None:
                return module
        return None

    def shares(self, chains: Iterable[list[Frame]]) -> dict[str, float]:
        """The share of each stage; together they are 1."""
        counts = Counter(map(self.stage, chains))
        return {stage: count / counts.total() for stage, count in counts.items()}


def function_shares(chains: Iterable[list[Frame]]) -> dict[str, float]:
    """The share of each function outside of the kernel, with the file that holds it."""
    counts = Counter(
        "kernel" if chain[0].file.startswith("[kernel") else f"{chain[0].symbol} ({chain[0].file.partition('.')[0]})"
        for chain in chains
    )
    return {name: count / counts.total() for name, count in counts.items()}


def _kernel_stage(chain: list[Frame]) -> str:
    is_call = False
    for frame in chain:
        call = _SYSTEM_CALL.match(frame.symbol)
        stage = _KERNEL_WORK.get(frame.symbol) or (call and _CALLS.get(call[1]))
        if stage:
            return stage
        is_call = is_call or (call is not None and not frame.symbol.startswith("do_"))
    return "kernel: other system calls" if is_call else "kernel: entry, interrupts, switches"
