"""The test's end of `shim.c`: builds the module, and leads it through the file that they share."""

import mmap
import re
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.c_library import build_library

SOURCE: Final = Path(__file__).with_name("shim.c")
FUNCTIONS: Final = tuple(re.findall(r"^    X\((\w+)\)", SOURCE.read_text(encoding="utf-8"), re.MULTILINE))
"""What can be counted and failed, in the order of the file."""

# Return values of PKCS#11 (pkcs11t.h)
CKR_GENERAL_ERROR: Final = 0x05
CKR_FUNCTION_FAILED: Final = 0x06
CKR_DEVICE_ERROR: Final = 0x30
CKR_DEVICE_REMOVED: Final = 0x32
CKR_PIN_INCORRECT: Final = 0xA0
CKR_PIN_LOCKED: Final = 0xA4
CKR_SESSION_COUNT: Final = 0xB1
CKR_TOKEN_NOT_PRESENT: Final = 0xE0

_SECONDS: Final = 20.0
_TOKENS: Final = 8
_LABEL: Final = 32
_WORD: Final = struct.Struct("=Q")
_FIELDS: Final = ("calls", "delay_us", "error", "hang")
_TOKEN_WORDS: Final = 2  # lost, drop_every
_TOKEN_BYTES: Final = _LABEL + _TOKEN_WORDS * _WORD.size + len(FUNCTIONS) * len(_FIELDS) * _WORD.size


def build_shim(directory: Path, real: Path) -> Path:
    """Compile it in front of a `real` module; the new module is made in `directory`. Fails aloud where a tool is missing."""
    flags = ("-O2", f'-DREAL_MODULE="{real}"', "-I/usr/include/p11-kit-1")
    return build_library(SOURCE, directory / "shim.so", *flags, needs="gcc libc6-dev libp11-kit-dev")


@dataclass(frozen=True, slots=True)
class TokenControl:
    """What happens to the calls for one token; `TokenControl` of the label "" is of the module as a whole."""

    _memory: mmap.mmap
    _start: int

    def calls(self, function: str) -> int:
        """How many there were so far, by all processes together."""
        return self._read(function, "calls")

    def all_calls(self) -> dict[str, int]:
        """How many there were of each function that was called at all."""
        return {name: count for name in FUNCTIONS if (count := self.calls(name))}

    def delay(self, milliseconds: float, *functions: str) -> None:
        """Let these calls take longer from now on."""
        for function in functions:
            self._write(function, "delay_us", round(milliseconds * 1_000))

    @contextmanager
    def failing(self, error: int, *functions: str) -> Iterator[None]:
        """Let these calls fail with a CKR_ value until the block ends."""
        with self._set("error", error, functions):
            yield

    @contextmanager
    def hanging(self, *functions: str) -> Iterator[None]:
        """Let these calls come back only when the block has ended."""
        with self._set("hang", 1, functions):
            yield

    def wait_for(self, function: str, calls: int) -> None:
        """Wait until there were so many calls; those in flight count."""
        deadline = time.monotonic() + _SECONDS
        while self.calls(function) < calls:
            assert time.monotonic() < deadline, f"{self.calls(function)} calls of {function} in {_SECONDS} s"
            time.sleep(0.001)

    def lose_sessions(self) -> None:
        """End every session there is, in all processes: their handles are invalid and nobody is logged in (PKCS#11 6.7.7)."""
        (lost,) = _WORD.unpack_from(self._memory, self._start + _LABEL)
        _WORD.pack_into(self._memory, self._start + _LABEL, lost + 1)

    @property
    def losses(self) -> int:
        """How often all sessions have ended."""
        (lost,) = _WORD.unpack_from(self._memory, self._start + _LABEL)
        return int(lost)

    def move_away(self, milliseconds: float, signatures: int) -> None:
        """Put it a network away: each call takes that long, and all sessions end after so many signatures (0: never)."""
        self.delay(milliseconds, *FUNCTIONS)
        _WORD.pack_into(self._memory, self._start + _LABEL + _WORD.size, signatures)

    @contextmanager
    def _set(self, field: str, value: int, functions: Sequence[str]) -> Iterator[None]:
        for function in functions:
            self._write(function, field, value)
        try:
            yield
        finally:
            for function in functions:
                self._write(function, field, 0)

    def _read(self, function: str, field: str) -> int:
        (value,) = _WORD.unpack_from(self._memory, self._place(function, field))
        return int(value)

    def _write(self, function: str, field: str, value: int) -> None:
        _WORD.pack_into(self._memory, self._place(function, field), value)

    def _place(self, function: str, field: str) -> int:
        words = FUNCTIONS.index(function) * len(_FIELDS) + _FIELDS.index(field)
        return self._start + _LABEL + _WORD.size * (_TOKEN_WORDS + words)


class Shim:
    """The file that a module and a test share; one for each directory of tokens."""

    def __init__(self, module: Path, control: Path) -> None:
        """Make the file. Processes find it by `environment`."""
        self.module = module
        """What to configure as PKCS#11 module."""
        control.write_bytes(bytes(_TOKENS * _TOKEN_BYTES))
        control.chmod(0o666)  # workers may be somebody else
        with control.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self.environment = {"PLEXIGATE_SHIM": str(control)}
        """What a process needs to be led by it."""
        self._labels = [""]

    def token(self, label: str) -> TokenControl:
        """Follow a token from now on; ask before a process uses it."""
        if label not in self._labels:
            start = len(self._labels) * _TOKEN_BYTES
            self._memory[start : start + _LABEL] = label.encode().ljust(_LABEL, b"\0")
            self._labels.append(label)
        return TokenControl(self._memory, self._labels.index(label) * _TOKEN_BYTES)

    @property
    def calls(self) -> int:
        """All calls of all functions for all tokens."""
        return sum(sum(self.token(label).all_calls().values()) for label in self._labels)

    def close(self) -> None:
        """Let the file go."""
        self._memory.close()
