"""The process from which programs are forked, against one that is started."""

import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests import prepared
from tests.configurations import Site
from tests.integration.stage import workers_of
from tests.prepared_children import refused
from tests.programs import PLEXIGATE, NotReadyError, plexigate, plexigate_listeners, program
from tests.waiting import until_found


def test_what_a_broken_configuration_is_told_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "plexigate.toml"
    file.write_text("nonsense = 1\n")
    command = [PLEXIGATE, "run", str(file)]
    with refused():
        started = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    forked = prepared.run(command)
    with pytest.raises(NotReadyError) as caught, plexigate(file):
        pytest.fail("it runs")
    assert "nonsense" in started.stderr
    for one in (child, forked):
        assert (one.returncode, one.stdout, one.stderr) == (started.returncode, started.stdout, started.stderr)
    assert list(caught.value.output) == (started.stdout + started.stderr).splitlines()


def test_a_worker_is_to_its_parent_and_to_the_kernel_what_a_started_one_is(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    configuration = site.write(site.minimal)
    with plexigate(configuration) as running:
        forked = facts(running.pid)
    with refused(), plexigate(configuration) as running:
        started = facts(running.pid)
    assert forked == started
    assert forked["is a leader"]


def facts(parent: int) -> dict[str, object]:
    """What one worker may do, has open, and does at a signal."""
    (worker,) = workers_of(parent)
    place = Path(f"/proc/{worker}")
    status = re.findall(
        r"^((?:Sig|Shd|Cap|Uid|Gid|Groups|Seccomp|NoNewPrivs).*)$", (place / "status").read_text(), re.MULTILINE
    )
    opened = sorted(re.sub(r"\d+", "N", str(one.readlink())) for one in (place / "fd").iterdir())
    is_child = int((place / "stat").read_text().rpartition(")")[2].split()[1]) == parent
    return {
        "status": [line for line in status if not line.startswith("SigQ")],
        "limits": (place / "limits").read_text(),
        "opened": opened,
        "is a child": is_child,
        "is a leader": os.getsid(worker) == worker,
    }


def test_program_that_has_ended_is_seen_to() -> None:
    process = prepared.start([PLEXIGATE, "--version"], {})
    assert process.stdout.read().startswith("plexigate ")
    process.wait(60)
    process.terminate()  # of what is gone
    process.close()
    until_found(lambda: not Path(f"/proc/{process.pid}").exists())


def test_command_that_a_test_starts_is_forked_unless_it_is_to_be_started(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    command = [PLEXIGATE, "run", str(site.write(site.minimal))]
    words = []
    for how in (nullcontext, refused):
        with how(), program(command, plexigate_listeners) as running:
            words.append(Path(f"/proc/{running.pid}/cmdline").read_bytes().split(b"\0")[1])
    assert words == [b"-m", PLEXIGATE.encode()]


def test_variables_that_are_read_before_the_program_need_a_start() -> None:
    assert prepared.is_possible(None)
    assert prepared.is_possible({"SOFTHSM2_CONF": "there"})
    assert not prepared.is_possible({"OPENSSL_CONF": "there"})
    assert not prepared.is_possible({"MALLOC_ARENA_MAX": "1"})
    with refused():
        assert not prepared.is_possible(None)


def test_an_entry_of_the_log_behind_a_piece_of_another_line_is_a_line() -> None:
    """What a module prints comes in pieces, and an entry of a worker may come in between."""
    printed = 'ERROR: {"time": "now"}\nof a token\n{"time": 1}'
    command = [sys.executable, "-c", f"print({printed!r})"]
    with program(command, lambda line: line if line.startswith("{") else None) as running:
        assert running.ready == '{"time": "now"}'
        running.wait_for(lambda output: len(output) == 4 or None)
    assert running.output == ["ERROR: ", '{"time": "now"}', "of a token", '{"time": 1}']
