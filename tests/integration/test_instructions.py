"""What the interpreter and the compiled code do for one request and for one connection.

A regression fails here without a clock.

A figure that has fallen for good is written down here, so that it cannot rise again.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from proxy.processes.hot_path import hot_path
from tests.c_library import build_library
from tests.integration.kept_alive import KINDS, POSTS, REQUESTS
from tests.integration.visits import KINDS as KINDS_OF_VISITS
from tests.integration.visits import VISITS

ROOT: Final = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(600)

# Today's cost of a request with 13 to 18 fields on a kept-alive connection, without TLS and sockets, for each
# of `KINDS` and `POSTS`. The Pythons differ by 4 %.
CALLS: Final = {
    "repeated": 68.0,
    "other path": 88.0,
    "other fields": 98.0,
    "other answer": 97.0,
    "both differ": 127.0,
    "repeated stream": 168.0,
    "stream of other path": 276.0,
    "stream of other fields": 323.0,
    "stream of other answer": 220.0,
    "stream where both differ": 375.0,
    "posted": 174.0,
    "posted stream": 552.0,
}
INSTRUCTIONS: Final = {
    "repeated": 30_900.0,
    "other path": 41_100.0,
    "other fields": 44_600.0,
    "other answer": 42_100.0,
    "both differ": 55_800.0,
    # some 5,000 of each are the fake loop, in which an answer waits for the end of the turn
    "repeated stream": 45_500.0,
    "stream of other path": 64_500.0,
    "stream of other fields": 75_100.0,
    "stream of other answer": 61_500.0,
    "stream where both differ": 91_100.0,
    "posted": 73_800.0,
    "posted stream": 120_600.0,
}
# Files of `proxy/downstream` that such a request passes at most, whichever its protocol, without a call back up
# to another room of it; and those that read, judge, hand over and build a configuration.
FILES: Final = 12
FILES_OF_CONFIGURATION: Final = 17
# The same for a connection: its handshake, one request that we answer ourselves, and its end. OpenSSL, and
# libc which works mostly for OpenSSL, are left out: their work depends on random numbers. The fake loop
# is left out too: its turns take 120,000.
VISIT: Final = {"full handshake": 193_100.0, "resumed": 195_100.0}
_NOT_OURS: Final = re.compile(r"/(libcrypto|libssl|libc)\.so|vgpreload")
# It may rise by a tenth: compilers and libraries differ too.
ALLOWED: Final = 1.1


def run(*command: str, **environment: str) -> list[str]:
    """Run a program on the code that this process runs; returns the words that it prints."""
    # ours comes last: compiled code, if there is any, comes first
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0", **environment},
        capture_output=True,
        text=True,
        timeout=500,  # beside others it has what they leave
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def check(what: str, counted: dict[str, float], figures: dict[str, float]) -> None:
    """Compare with what was written down."""
    too_much = [
        f"one of {kind!r} takes {number:,.1f} {what}: {figures[kind] * ALLOWED:,.1f} are allowed,"
        f" it took {figures[kind]:,.1f} when this was written"
        for kind, number in counted.items()
        if number > figures[kind] * ALLOWED
    ]
    assert not too_much, "\n".join(too_much)


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that tells callgrind what to count."""
    library, source = tmp_path_factory.mktemp("marks") / "marks.so", Path(__file__).with_name("callgrind_marks.c")
    return build_library(source, library)


def test_calls_of_interpreted_functions() -> None:
    code, *calls = run(sys.executable, "-m", "tests.integration.kept_alive", PLEXIGATE_PURE="1")
    assert code == "interpreted"
    check("calls of functions in proxy/", dict(zip(KINDS | POSTS, map(float, calls), strict=True)), CALLS)


def test_files_that_a_request_passes() -> None:
    """Each further file is one more to open, and each call back up one more to search for."""
    walks = [line.split(",") for line in run(sys.executable, "-m", "tests.integration.walk", PLEXIGATE_PURE="1")]
    *kinds, what = [kind.replace("_", " ") for kind, *_ in walks]
    *files, of_configuration = [int(files) for _, files, *_ in walks]
    assert (kinds, what) == (list(KINDS), "configuration")
    assert max(files) == FILES, dict(zip(kinds, files, strict=True))
    assert of_configuration == FILES_OF_CONFIGURATION
    assert [climb for _, _, *climbs in walks for climb in climbs] == []


@pytest.mark.skipif(hot_path() != "compiled", reason="of interpreted code, the calls are counted")
def test_instructions_of_compiled_code(tmp_path: Path, marks: Path) -> None:
    out = tmp_path / "out"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    assert run(*valgrind, sys.executable, "-m", "tests.integration.kept_alive", str(marks)) == ["compiled"]
    counted = {kind: total(Path(f"{out}.{number}")) / REQUESTS for number, kind in enumerate(KINDS | POSTS, 1)}
    check("instructions", counted, INSTRUCTIONS)


@pytest.mark.skipif(hot_path() != "compiled", reason="of interpreted code, the calls are counted")
def test_instructions_of_a_connection(tmp_path: Path, marks: Path) -> None:
    out = tmp_path / "out"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no"]
    command = [sys.executable, "-m", "tests.integration.visits", str(marks), str(tmp_path)]
    assert run(*valgrind, f"--callgrind-out-file={out}", *command) == ["compiled"]
    counted = {kind: ours(Path(f"{out}.{number}")) / VISITS for number, kind in enumerate(KINDS_OF_VISITS, 1)}
    check("instructions", counted, VISIT)


def ours(dump: Path) -> int:
    """The instructions in a dump of callgrind that are not of `_NOT_OURS`."""
    names: dict[str, str] = {}
    counted, is_ours, is_call = 0, True, False
    for line in dump.read_text().splitlines():
        if found := re.match(r"(c?ob)=(\(\d+\))(?: (.*))?$", line):
            name = names.setdefault(found[2], found[3] or "")
            if found[1] == "ob":
                is_ours = _NOT_OURS.search(name) is None
        elif line.startswith("calls="):
            is_call = True  # the next line has what the called function took, which is counted there
        elif found := re.match(r"[-+*\d]\S* (\d+)$", line):
            counted += int(found[1]) if is_ours and not is_call else 0
            is_call = False
    return counted


def total(dump: Path) -> int:
    """The instructions that a dump of callgrind counts in all."""
    (line,) = [line for line in dump.read_text().splitlines() if line.startswith("totals: ")]
    return int(line.split()[1])
