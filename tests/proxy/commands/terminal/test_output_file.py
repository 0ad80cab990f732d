"""Files that commands write for an operator."""

import os
import stat
from pathlib import Path

import pytest

from proxy.commands.terminal.output_file import PUBLIC_MODE, AlreadyThere, write_for_person


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_new_file_is_for_its_owner_alone(file: Path) -> None:
    write_for_person(file, b"keys", replaces=False)
    assert file.read_bytes() == b"keys"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_there_is_replaced_only_if_a_person_says_so(file: Path) -> None:
    file.write_bytes(b"the only copy of something else")
    with pytest.raises(AlreadyThere, match=r'keys\.json" exists and has other content.* --force'):
        write_for_person(file, b"keys", replaces=False)
    assert file.read_bytes() == b"the only copy of something else"
    write_for_person(file, b"keys", replaces=True)
    assert file.read_bytes() == b"keys"


def test_a_command_can_be_repeated(file: Path) -> None:
    file.write_bytes(b"keys")
    file.chmod(0o644)
    write_for_person(file, b"keys", replaces=False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    write_for_person(file, b"newer keys", replaces=False, is_former=lambda there: there == b"keys")
    assert file.read_bytes() == b"newer keys"


def test_what_others_are_to_read_can_be_read_at_once(file: Path) -> None:
    before = os.umask(0o077)
    try:
        write_for_person(file, b"a root", replaces=False, mode=PUBLIC_MODE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_what_is_no_regular_file_is_written_to_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o600)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_for_person(path, b"keys", replaces=False, mode=PUBLIC_MODE)
        assert os.read(reading, 100) == b"keys"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.close(reading)
    assert path.is_fifo()
