"""A PIN file is read when it is one, and an error never has what is in it."""

import os
from pathlib import Path

import pytest

from certs.hsm.access import (
    TokenAccess,
    TokenChoice,
    default_latch_directory,
    file_stem,
    read_handed_over_pin,
    read_pin,
    state_directory,
)
from certs.hsm.errors import PinFileUnusable
from certs.hsm.secret import Secret


def file_with(tmp_path: Path, content: bytes, mode: int = 0o600) -> Path:
    path = tmp_path / "pin"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [b"1234", b"1234\n", b"1234\r\n"])
def test_a_pin_is_the_line_of_the_file(tmp_path: Path, content: bytes) -> None:
    assert read_pin(file_with(tmp_path, content)).reveal() == "1234"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o700, 0o4600])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(
        PinFileUnusable, match=rf'pin": found mode {mode:04o}; allowed: mode 0600 or stricter \(chmod 600\)'
    ):
        read_pin(file_with(tmp_path, b"1234", mode))


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    assert read_pin(file_with(tmp_path, b"1234", mode)).reveal() == "1234"


def test_the_mode_of_what_systemd_hands_over_says_nothing(tmp_path: Path) -> None:
    assert read_handed_over_pin(file_with(tmp_path, b"1" * 31, 0o440)).reveal() == "1" * 31


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "nothing"), (b"\n", "nothing"), (b"geheim\nzwei\n", "more than one line"), (b"geheim\xff", "no UTF-8"), (b"g" * 32, "more than 31 bytes"),
     (b"geheim" * 50, "more than 31 bytes"), (b"geheim\x00", "control characters")],
)  # fmt: skip
def test_what_is_no_pin_is_refused_without_showing_it(tmp_path: Path, content: bytes, found: str) -> None:
    with pytest.raises(PinFileUnusable, match=found) as caught:
        read_pin(file_with(tmp_path, content))
    seen = [str(caught.value), repr(caught.value), repr(caught.value.__context__), repr(caught.value.__cause__)]
    assert "geheim" not in " ".join(seen)


def test_a_missing_file_a_directory_and_a_fifo_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PinFileUnusable, match="no such file"):
        read_pin(tmp_path / "none")
    with pytest.raises(PinFileUnusable, match="is a directory"):
        read_pin(tmp_path)
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(PinFileUnusable, match="a pipe"):
        read_pin(tmp_path / "fifo")


def test_an_access_never_shows_its_pin() -> None:
    access = TokenAccess(Path("/m.so"), TokenChoice(label="plexi"), Secret("geheim"), Path("/l"))
    assert "geheim" not in repr(access) + str(access)


def test_a_choice_names_a_token() -> None:
    assert str(TokenChoice(serial="42", slot=0)) == "serial 42, slot 0"
    with pytest.raises(ValueError, match="a label, a serial or a slot"):
        TokenChoice()


def test_latches_lie_where_the_service_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert default_latch_directory() == Path("/var/lib/one/pin-latch")
    assert state_directory() == Path("/var/lib/one")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_latch_directory() == Path("/var/lib/plexigate/pin-latch")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/a/state")
    assert default_latch_directory() == Path("/home/a/state/plexigate/pin-latch")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/a")
    assert default_latch_directory() == Path("/home/a/.local/state/plexigate/pin-latch")


def test_a_serial_of_zeros_names_no_token() -> None:
    """All tokens of a TPM have it."""
    assert file_stem("plexi", "0000000000000000") == file_stem("plexi", "") != file_stem("spare", "0000000000000000")
    assert file_stem("plexi", "42") == file_stem("spare", "42")
