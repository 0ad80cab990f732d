"""What a command does with a key is in the audit log of the configuration before the command says so."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
import typer

from certs.audit.entries import Action, Outcome
from certs.hsm.errors import CallFailed
from proxy.commands.hsm.recording import now, recorded
from proxy.commands.hsm.sources import NotChosen


def configuration(directory: Path) -> Path:
    path = directory / "p.toml"
    path.write_text('[audit]\nfile = "audit.jsonl"\n')
    return path


def operations(path: Path) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["kind"] == "operation"]


def test_the_time_of_entries_is_in_utc() -> None:
    assert now().tzinfo is UTC


def test_done_refused_and_failed(tmp_path: Path) -> None:
    with recorded(configuration(tmp_path)) as record:
        with record.operation(Action.GENERATE, "a"):
            pass
        with pytest.raises(NotChosen), record.operation(Action.DESTROY, "b"):
            raise NotChosen("it is used")
        with pytest.raises(CallFailed), record.operation(Action.SIGN, "c"):
            raise CallFailed("sign", "CKR_DEVICE_ERROR")
    found = operations(tmp_path / "audit.jsonl")
    assert [(one["action"], one["key"], one["outcome"]) for one in found] == [
        ("generate", "a", "done"),
        ("destroy", "b", "refused"),
        ("sign", "c", "failed"),
    ]
    assert "CKR_DEVICE_ERROR" in found[2]["detail"]
    assert all(one["actor"].startswith("cli ") for one in found)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, typer.Abort, EOFError])
def test_given_up(tmp_path: Path, ending: type[BaseException]) -> None:
    """By Ctrl-C in the midst, or at a question, or because nobody is there to answer it."""
    with recorded(configuration(tmp_path)) as record, pytest.raises(ending), record.operation(Action.DESTROY, "a"):
        raise ending
    (found,) = operations(tmp_path / "audit.jsonl")
    assert (found["action"], found["outcome"]) == ("destroy", "given up")
    assert found["detail"] == "interrupted, or no answer to a question"


def test_a_file_that_is_named_stands_before_the_configuration(tmp_path: Path) -> None:
    with recorded(configuration(tmp_path), tmp_path / "other.jsonl") as record:
        record(Action.TEST, "a", Outcome.DONE)
    assert len(operations(tmp_path / "other.jsonl")) == 1
    assert not (tmp_path / "audit.jsonl").exists()


def test_without_a_log_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("")
    for config in (None, tmp_path / "p.toml", tmp_path / "none.toml"):
        with recorded(config) as record:
            record(Action.TEST, "a", Outcome.DONE)
    assert [path.name for path in tmp_path.iterdir()] == ["p.toml"]


def test_a_log_that_cannot_be_written_stops_the_command_before_it_does_anything(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(NotChosen, match=r"audit\.jsonl"), recorded(configuration(tmp_path)):
        pytest.fail("it began")
    config = configuration(tmp_path)
    config.write_text(config.read_text() + 'checkpoint_key = "none.key"\n')
    with pytest.raises(NotChosen, match=r"audit\.checkpoint_key"), recorded(config):
        pytest.fail("it began")


def test_a_log_that_fails_later_is_an_error(tmp_path: Path) -> None:
    with recorded(configuration(tmp_path)) as record:
        (tmp_path / "audit.jsonl").unlink()
        (tmp_path / "audit.jsonl").mkdir()
        with pytest.raises(NotChosen, match=r"audit\.jsonl"):
            record(Action.TEST, "a", Outcome.DONE)
