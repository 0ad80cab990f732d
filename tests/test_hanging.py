"""A test that waits for ever fails when its time is over, and the next one runs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = """
import asyncio
import pytest

@pytest.mark.timeout(0.5, func_only=True)
async def test_event_that_never_comes():
    await asyncio.Event().wait()

def test_next_one():
    pass
"""


def test_test_that_waits_in_an_event_loop_is_ended(tmp_path: Path) -> None:
    (tmp_path / "test_waiting.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    command += ["-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path / "test_waiting.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "SystemExit: it took more than 0.5 s" in done.stdout
