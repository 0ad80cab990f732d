"""The lock of a file: one at a time, and free again however its holder ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from certs.files.file_lock import StillLocked, locked

HOLDER = """
import sys, time
from pathlib import Path
from certs.files.file_lock import locked
with locked(Path(sys.argv[1]), 0):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "log.lock"
    with locked(path, 0):
        assert path.stat().st_mode & 0o777 == 0o600
        with (
            pytest.raises(StillLocked, match=r'log\.lock" is locked by another process, for 0\.05 s'),
            locked(path, 0.05),
        ):
            pass
    with locked(path, 0):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "log.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StillLocked), locked(path, 0):
            pass
        holder.kill()
        with locked(path, 10):
            pass


def test_an_error_inside_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "log.lock"
    with pytest.raises(KeyError), locked(path, 0):
        raise KeyError
    with locked(path, 0):
        pass
