"""A PIN that was refused is remembered, and cannot be found from what is remembered."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from certs.hsm.errors import LatchUnusable
from certs.hsm.process.pin_latch import PinLatch, is_about_pin, release_by_name
from certs.hsm.secret import Secret

AT = "2026-01-02T03:04:05Z"
# one of 256 PINs looks like another: with the salt of the test fixed, these do not
WRONG, RIGHT = Secret("1111"), Secret("2222")


@pytest.fixture
def latch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PinLatch:
    monkeypatch.setattr(os, "urandom", lambda count: bytes(range(count)))
    one = PinLatch(tmp_path / "state/latches", "plexi", "0042")
    with one.exclusive():
        pass
    return one


def test_state_directory_that_it_makes_is_private(latch: PinLatch) -> None:
    """The doctor warns of one that other users may enter."""
    for directory in (latch.path.parent, latch.path.parent.parent):
        assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="run as root: only root can give files away")
def test_what_root_makes_beside_a_service_is_the_services(tmp_path: Path) -> None:
    """`plexigate doctor` and `hsm list` as root, before the first start of the service."""
    state = tmp_path / "state"
    state.mkdir(0o700)
    os.chown(state, 65_534, 65_534)
    one = PinLatch(state / "latches", "plexi", "0042")
    with one.exclusive():
        one.set(WRONG, "CKR_PIN_INCORRECT", AT)
    made = [state / "latches", *sorted((state / "latches").iterdir())]
    assert [path.stat().st_uid for path in made] == [65_534, 65_534, 65_534]


def test_nothing_is_latched_at_first(latch: PinLatch) -> None:
    assert latch.read() is None


def test_a_refused_pin_is_known_again_and_another_one_is_not(latch: PinLatch) -> None:
    latch.set(WRONG, "CKR_PIN_INCORRECT", AT)
    refusal = latch.read()
    assert refusal is not None
    assert (refusal.label, refusal.serial, refusal.ckr, refusal.at) == ("plexi", "0042", "CKR_PIN_INCORRECT", AT)
    assert refusal.is_about(WRONG)
    assert not refusal.is_about(RIGHT)


def test_what_is_written_holds_eight_bits_about_the_pin_and_is_its_owners_alone(latch: PinLatch) -> None:
    latch.set(WRONG, "CKR_PIN_INCORRECT", AT)
    content = latch.path.read_text()
    assert "1111" not in content.replace(json.loads(content)["salt"], "")
    assert len(bytes.fromhex(json.loads(content)["check"])) == 1
    assert latch.path.stat().st_mode & 0o777 == 0o600
    assert latch.path.parent.stat().st_mode & 0o777 == 0o700


def test_it_is_released(latch: PinLatch) -> None:
    latch.set(WRONG, "CKR_PIN_INCORRECT", AT)
    assert latch.release()
    assert not latch.release()
    assert latch.read() is None


def test_another_token_has_another_latch(latch: PinLatch, tmp_path: Path) -> None:
    latch.set(WRONG, "CKR_PIN_INCORRECT", AT)
    assert PinLatch(tmp_path / "state/latches", "plexi", "0043").read() is None
    assert PinLatch(tmp_path / "state/latches", "renamed", "0042").read() is not None


def test_an_operator_releases_it_by_label_or_serial(latch: PinLatch) -> None:
    for name in ("plexi", "0042"):
        latch.set(WRONG, "CKR_PIN_INCORRECT", AT)
        assert release_by_name(latch.path.parent, "other") == []
        assert release_by_name(latch.path.parent, name) == ["plexi"]
    assert release_by_name(latch.path.parent / "none", "plexi") == []


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"token": 1', '{"token":"a","serial":"b","refused":"c","at":"d","salt":5,"check":""}']
)
def test_a_damaged_latch_lets_no_pin_be_tried(latch: PinLatch, content: str) -> None:
    latch.path.write_text(content)
    with pytest.raises(LatchUnusable, match="delete the file"):
        latch.read()


def test_a_latch_that_cannot_be_written_or_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    latch = PinLatch(tmp_path / "file", "plexi", "0042")
    with pytest.raises(LatchUnusable, match="found"), latch.exclusive():
        pass
    for attempt in (latch.read, latch.release, lambda: latch.set(WRONG, "CKR_PIN_INCORRECT", AT)):
        with pytest.raises(LatchUnusable):
            attempt()


def _enter(directory: Path, count: Path) -> None:
    with PinLatch(directory, "plexi", "0042").exclusive():
        value = int(count.read_text())
        os.sched_yield()
        count.write_text(str(value + 1))


def test_one_process_at_a_time_is_inside(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_enter, args=(tmp_path / "latches", count)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
        process.close()
    assert count.read_text() == "4"


def test_only_what_is_about_the_pin_latches() -> None:
    assert is_about_pin("CKR_PIN_EXPIRED")
    assert not is_about_pin("CKR_DEVICE_ERROR")
