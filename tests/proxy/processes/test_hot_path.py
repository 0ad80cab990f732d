"""Compiled code beside the sources is used, and refused where the environment says so."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import proxy
from proxy.processes.hot_path import hot_path

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


def said(place: Path, **environment: str) -> list[str]:
    """What a process says of the hot path whose packages are in `place`: in words, and the file of the finder."""
    code = (
        "from importlib.util import find_spec; from proxy.processes.hot_path import compiled_for, hot_path; import config;"
        "print(hot_path(), find_spec('proxy.downstream.http1.connection').origin, find_spec('config.values.problems').origin, *compiled_for())"
    )
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("PLEXIGATE_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**ours, "PYTHONPATH": str(place), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


def packages(place: Path) -> Path:
    """The packages with a compiled module, which is only looked for."""
    for name in ("proxy", "config", "certs"):
        (place / name).symlink_to(Path(proxy.__file__).parents[1] / name)
    (place / "proxy").unlink()
    for source in Path(proxy.__file__).parent.rglob("*.py"):
        copy = place / "proxy" / source.relative_to(Path(proxy.__file__).parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    (place / "proxy" / "downstream" / "http1" / f"connection{SUFFIX}").write_bytes(b"")
    return place


def test_compiled_code_is_taken_before_the_sources(tmp_path: Path) -> None:
    place = packages(tmp_path)
    answer = said(place)
    assert answer[:2] == ["compiled", str(place / "proxy" / "downstream" / "http1" / f"connection{SUFFIX}")]
    assert answer[3:] == [SUFFIX.split(".")[1]]


def test_the_environment_refuses_compiled_code(tmp_path: Path) -> None:
    place = packages(tmp_path)
    answer = said(place, PLEXIGATE_PURE="1")
    assert answer[:2] == ["interpreted", str(place / "proxy" / "downstream" / "http1" / "connection.py")]
    assert answer[2] == str(place / "config" / "values" / "problems.py")
    assert said(place, PLEXIGATE_PURE="0")[0] == "compiled"


def test_it_says_what_this_process_runs() -> None:
    from proxy.downstream.http1 import connection

    assert hot_path() == ("interpreted" if str(connection.__file__).endswith(".py") else "compiled")
