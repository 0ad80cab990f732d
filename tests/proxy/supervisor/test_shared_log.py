"""Every worker follows the log to where the parent writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from config.schema import LogFormat
from config.values.problems import ConfigError
from proxy.processes.messages.questions import SwitchLog
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.shared_log import SharedLog
from tests.configurations import Site


class Case:
    """A log that is shared, and what workers and the log itself are told."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site, self.directory = site, directory
        self.target = LogTarget(
            (given := self.loaded("first")).file, given.config.log, given.config.limits.log_queue_lines, None
        )
        self.moves: list[tuple[SwitchLog, Sequence[int]]] = []
        self.told: list[str] = []
        workers: Any = self
        self.shared = SharedLog(self.target, workers, lambda event: self.told.append(event.event))

    def loaded(self, file: str) -> LoadedConfig:
        return load(self.site.write(f'{self.site.minimal}[log]\nfile = "{self.directory / file}"\n'))

    async def tell_all(self, order: SwitchLog, descriptors: Sequence[int]) -> None:
        self.moves.append((order, descriptors))


@pytest.fixture
def case(site: Site, tmp_path: Path) -> Case:
    return Case(site, tmp_path)


async def test_workers_are_told_of_another_place_and_only_then(case: Case) -> None:
    same = case.shared.prepare((given := case.loaded("first")).file, given.config.log)
    await case.shared.use(same)
    assert case.moves == []
    other = case.shared.prepare((given := case.loaded("second")).file, given.config.log)
    assert case.moves == [], "nothing changes yet"
    await case.shared.use(other)
    ((order, descriptors),) = case.moves
    assert order == SwitchLog(LogFormat.JSON)
    assert list(descriptors) == [case.target.descriptor]
    case.target.close(10)


async def test_a_place_that_cannot_be_written_moves_no_log(case: Case) -> None:
    (case.directory / "loop").symlink_to("loop")
    with pytest.raises(ConfigError):
        case.shared.prepare((given := case.loaded("loop")).file, given.config.log)
    assert case.moves == []
    case.target.close(10)


async def test_a_log_that_is_opened_again_is_handed_to_workers_and_one_that_is_not_stays(case: Case) -> None:
    await case.shared.reopen()
    assert len(case.moves) == 1
    first = case.directory / "first"
    first.unlink()
    first.mkdir()
    await case.shared.reopen()
    assert len(case.moves) == 1
    assert case.told == ["log_not_reopened"]
    case.target.close(10)
