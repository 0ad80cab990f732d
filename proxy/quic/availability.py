"""Whether HTTP/3 can be served here, and if not, why: one answer for the start, `check`, the status
and the doctor.

The libraries are looked up as the compiled part finds them, and asked for their versions at run
time: a build for one version may run with another.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, Final

from config.loading.loaded import LoadedConfig
from config.values.problems import Problem
from proxy.tls.openssl.libssl import InterpreterUnsuitable, bound

Version = tuple[int, int, int]

_COMPILED: Final = "proxy.quic._native"
# OpenSSL 3.5: the handshake of QUIC by callbacks. What it returns and takes is the C code's matter.
_QUIC_OF_OPENSSL: Final = "SSL_set_quic_tls_cbs"


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library: its file, the function that tells its version, the oldest that will do.

    `package` is that of Debian 13.
    """

    name: str
    file: str
    package: str
    function: str
    least: Version

    @property
    def project(self) -> str:
        """Its repository of the group ngtcp2 on GitHub."""
        return self.name.removeprefix("lib")

    def version(self) -> Version | None:
        """The version that is installed; None if there is none."""
        try:
            asked = getattr(ctypes.CDLL(self.file), self.function)
        except (OSError, AttributeError):
            return None
        asked.restype = ctypes.POINTER(_Info)
        asked.argtypes = [ctypes.c_int]
        number: int = asked(0).contents.number
        return number >> 16, number >> 8 & 0xFF, number & 0xFF

    def fault(self) -> str | None:
        """What keeps it from being used, and how to get one that can be."""
        found = self.version()
        if found is None:
            return f"{self.file} is not installed: apt-get install {self.package}"
        if found < self.least:
            return f"{self.name} {written(found)} is older than {written(self.least)}: install a newer {self.package}"
        return None


class _Info(ctypes.Structure):
    """The beginning of `ngtcp2_info` and of `nghttp3_info`, which are alike."""

    _fields_: ClassVar[Any] = [("age", ctypes.c_int), ("number", ctypes.c_int), ("text", ctypes.c_char_p)]


LIBRARIES: Final = (
    Library("libngtcp2", "libngtcp2.so.16", "libngtcp2-16", "ngtcp2_version", (1, 11, 0)),
    Library("libnghttp3", "libnghttp3.so.9", "libnghttp3-9", "nghttp3_version", (1, 8, 0)),
)
"""What HTTP/3 needs beside OpenSSL."""


def written(version: Version) -> str:
    return ".".join(map(str, version))


def _openssl_fault() -> str | None:
    try:
        bound({_QUIC_OF_OPENSSL: (ctypes.c_int,)})
    except InterpreterUnsuitable:
        return f"this OpenSSL has no {_QUIC_OF_OPENSSL}: OpenSSL 3.5 or newer is needed (Debian 13 has it)"
    return None


def _compiled_fault() -> str | None:
    if find_spec(_COMPILED) is None:
        return "this installation has no compiled code for it: install a wheel or the Debian package"
    return None


_ALL: Final = (*(one.fault for one in LIBRARIES), _openssl_fault, _compiled_fault)


def unavailable(faults: Sequence[Callable[[], str | None]] = _ALL) -> str | None:
    """Why HTTP/3 cannot be served by this installation; None if it can.

    `faults` are what is asked, in this order: what can be installed comes first.
    """
    return next((told for fault in faults if (told := fault()) is not None), None)


def http3_problems(loaded: LoadedConfig, reason: Callable[[], str | None] = unavailable) -> tuple[Problem, ...]:
    """Warn of each listener that is to serve HTTP/3, and cannot."""
    wanting = [name for name, one in loaded.config.listener.items() if one.http3]
    told = reason() if wanting else None
    if told is None:
        return ()
    found = f"true, and HTTP/3 cannot be served here: {told}"
    allowed = "what is missing, or http3 = false: clients use HTTP/2 meanwhile"
    return tuple(loaded.file.warning(("listener", name, "http3"), found, allowed) for name in wanting)
