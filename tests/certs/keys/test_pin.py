"""PINs: read from where the configuration says, refused where others can read them, and never shown."""

from pathlib import Path

import pytest

from certs.hsm.secret import LONGEST_PIN
from certs.keys.pin import Pins, read_pins
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config

SECRET = "sesam-1234"  # noqa: S105 - of nothing


def loaded(directory: Path, **token: object) -> LoadedConfig:
    config = Config.model_validate({"hsm": {"module": "hsm.so", "token": {"plexi": token}}})
    return LoadedConfig(config, ConfigFile(directory / "plexigate.toml", credentials=directory / "credentials"))


def write(path: Path, content: bytes = SECRET.encode() + b"\n", mode: int = 0o600) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def from_file(directory: Path, content: bytes = SECRET.encode(), mode: int = 0o600) -> Pins:
    write(directory / "plexi.pin", content, mode)
    return read_pins((given := loaded(directory, pin_file="plexi.pin")).file, given.config.hsm)


def fault(pins: Pins) -> tuple[str, str]:
    (problem,) = pins.problems
    assert problem.is_error
    assert not pins.by_token
    assert SECRET not in str(problem)
    return problem.key, problem.found


def test_no_tokens_have_no_pins(tmp_path: Path) -> None:
    assert read_pins(
        (given := LoadedConfig(Config(), ConfigFile(tmp_path / "plexigate.toml"))).file, given.config.hsm
    ) == Pins({}, ())


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_line_of_a_file(tmp_path: Path, ending: bytes, mode: int) -> None:
    pins = from_file(tmp_path, SECRET.encode() + ending, mode)
    assert pins.problems == ()
    assert pins.by_token["plexi"].path.read_text() == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o700])
def test_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    pins = from_file(tmp_path, mode=mode)
    assert "mode 0600 or stricter (chmod 600)" in pins.problems[0].allowed
    key, found = fault(pins)
    assert (key, found) == (
        "hsm.token.plexi.pin_file",
        f'"plexi.pin": mode {mode:04o}',
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "nothing in it"),
        (b"\n", "nothing in it"),
        (b"a" * (LONGEST_PIN + 1), "more than 31 bytes"),
        (b"1234\n5678\n", "more than one line, or control characters"),
        (b"12\x0034", "more than one line, or control characters"),
    ],
)
def test_what_is_no_pin_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    pins = from_file(tmp_path, content)
    assert fault(pins) == ("hsm.token.plexi.pin_file", f'"plexi.pin": {found}')
    assert pins.problems[0].allowed == "one line with the PIN, 1 to 31 bytes of printable UTF-8"


def test_missing_file_is_a_problem(tmp_path: Path) -> None:
    _, found = fault(read_pins((given := loaded(tmp_path, pin_file="plexi.pin")).file, given.config.hsm))
    assert found == '"plexi.pin": no such file or directory'


class TestSystemd:
    def test_credential_is_read_whatever_its_mode_says(self, tmp_path: Path) -> None:
        """systemd shows the mask of an access list as rights of the group."""
        write(tmp_path / "credentials" / "plexi-pin", mode=0o440)
        pins = read_pins((given := loaded(tmp_path, pin_credential="plexi-pin")).file, given.config.hsm)
        assert pins.problems == ()
        assert pins.by_token["plexi"].path.read_text() == SECRET

    def test_credential_that_is_no_pin(self, tmp_path: Path) -> None:
        write(tmp_path / "credentials" / "plexi-pin", b"1234\n5678\n")
        pins = read_pins((given := loaded(tmp_path, pin_credential="plexi-pin")).file, given.config.hsm)
        fault(pins)
        assert pins.problems[0].allowed == "one line with the PIN, 1 to 31 bytes of printable UTF-8"

    def test_credential_that_was_not_handed_over(self, tmp_path: Path) -> None:
        pins = read_pins((given := loaded(tmp_path, pin_credential="plexi-pin")).file, given.config.hsm)
        assert "LoadCredential=plexi-pin:PATH" in pins.problems[0].allowed
        key, found = fault(pins)
        assert key == "hsm.token.plexi.pin_credential"
        assert found == '"plexi-pin": no such file or directory'

    def test_start_without_systemd(self, tmp_path: Path) -> None:
        given = loaded(tmp_path, pin_credential="plexi-pin")
        _, found = fault(
            read_pins((given := LoadedConfig(given.config, ConfigFile(given.file.path))).file, given.config.hsm)
        )
        assert found == '"plexi-pin", but systemd passed no credentials to this process'
