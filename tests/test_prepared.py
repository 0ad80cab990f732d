"""The process from which programs are forked, against one that is started."""

import subprocess
from pathlib import Path

import pytest

from tests import prepared
from tests.programs import PLEXIGATE, NotReadyError, plexigate
from tests.waiting import until_found


def test_what_a_broken_configuration_is_told_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "plexigate.toml"
    file.write_text("nonsense = 1\n")
    command = [PLEXIGATE, "run", str(file)]
    started = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    forked = prepared.run(command)
    with pytest.raises(NotReadyError) as caught, plexigate(file):
        pytest.fail("it runs")
    assert "nonsense" in started.stderr
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)
    assert list(caught.value.output) == (started.stdout + started.stderr).splitlines()


def test_program_that_has_ended_is_seen_to() -> None:
    process = prepared.start([PLEXIGATE, "--version"], {})
    assert process.stdout.read().startswith("plexigate ")
    process.wait(60)
    process.terminate()  # of what is gone
    process.close()
    until_found(lambda: not Path(f"/proc/{process.pid}").exists())


def test_variables_that_are_read_before_the_program_need_a_start() -> None:
    assert prepared.is_possible(None)
    assert prepared.is_possible({"SOFTHSM2_CONF": "there"})
    assert not prepared.is_possible({"OPENSSL_CONF": "there"})
    assert not prepared.is_possible({"MALLOC_ARENA_MAX": "1"})
    with prepared.refused():
        assert not prepared.is_possible(None)
