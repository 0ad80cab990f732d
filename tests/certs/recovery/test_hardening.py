"""The memory of a process, as the kernel sees it afterwards."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.recovery.hardening import NotHardened, harden

HARDENED = """
import ctypes, resource, sys
from pathlib import Path
from certs.recovery.hardening import harden
harden(Path(sys.argv[1]))
libc = ctypes.CDLL(None)
print(libc.prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))
print(next(line for line in open("/proc/self/status") if line.startswith("VmLck")).split()[1])
"""
WITHOUT_RIGHT = """
import ctypes, os, resource, sys
from pathlib import Path
from certs.recovery.hardening import harden, NotHardened
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
open("/dev/null", encoding="ascii").close()  # imports what nobody else can read where Python is installed for root alone
if os.getuid() == 0:
    os.setuid(65534)
try:
    harden(Path(sys.argv[1]))
except NotHardened as error:
    print(error)
else:
    print("hardened")
"""
HEADING = "Filename\tType\tSize\tUsed\tPriority\n"


def run(code: str, swaps: Path) -> list[str]:
    result = subprocess.run([sys.executable, "-c", code, str(swaps)], check=True, capture_output=True, text=True)
    return result.stdout.splitlines()


@pytest.fixture
def swaps() -> Iterator[Path]:
    # not in `tmp_path`, which only its owner can enter
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        path = Path(directory, "swaps")
        path.write_text(HEADING)
        yield path


def test_no_dump_no_other_reader_and_no_swap(swaps: Path) -> None:
    facts, locked = run(HARDENED, swaps)
    assert facts == "0 (0, 0)"
    # without the right to lock memory, no swap is as good
    assert int(locked) > 1_000 or run(WITHOUT_RIGHT, swaps) == ["hardened"]


def test_without_the_right_to_lock_memory(swaps: Path) -> None:
    assert run(WITHOUT_RIGHT, swaps) == ["hardened"]
    swaps.write_text(f"{HEADING}/swap file 1000 0 -2\n")
    (said,) = run(WITHOUT_RIGHT, swaps)
    assert said.startswith("the memory of this process cannot be protected: mlockall: ")
    assert "and there is swap; allowed: no swap (swapoff -a)" in said
    assert "and there is swap" in run(WITHOUT_RIGHT, swaps / "missing")[0]


def test_a_kernel_that_refuses(monkeypatch: pytest.MonkeyPatch, swaps: Path) -> None:
    class Libc:
        def prctl(self, *_: int) -> int:
            return -1

    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: Libc())
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    with pytest.raises(NotHardened, match="prctl: "):
        harden(swaps)
