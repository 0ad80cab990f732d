"""Where the log goes: another place only when it can be written, and only when it is used."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from config.schema import LogFormat
from config.values.problems import ConfigError
from proxy.observe.events.certificates import AcmeProgress
from proxy.processes.messages.questions import LogSettings
from proxy.supervisor.log_target import LogTarget
from tests.configurations import Site
from tests.descriptors import open_descriptors


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() == before


class Logging:
    """A target by a configuration, and what was written to each file."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site, self.directory = site, directory
        self.target: LogTarget

    def loaded(self, file: str | None = "first", form: str = "json") -> LoadedConfig:
        place = "" if file is None else f'file = "{self.directory / file}"\n'
        return load(self.site.write(f'{self.site.minimal}[log]\nformat = "{form}"\n{place}'))

    def begin(self, form: LogFormat | None = None, file: str | None = "first") -> LogTarget:
        self.target = LogTarget(
            (given := self.loaded(file)).file, given.config.log, given.config.limits.log_queue_lines, form
        )
        return self.target

    def write(self, text: str) -> None:
        self.target.log.event(0.0, AcmeProgress(text))

    def end(self) -> dict[str, list[str]]:
        """The lines of every file; JSON is told by its brace."""
        self.target.close(10)
        return {path.name: path.read_text().splitlines() for path in self.directory.iterdir()}


@pytest.fixture
def logging(site: Site, tmp_path: Path) -> Logging:
    return Logging(site, tmp_path)


def test_workers_are_told_what_they_need(logging: Logging) -> None:
    target = logging.begin()
    assert target.settings == LogSettings(LogFormat.JSON, has_colours=False, queue_lines=10_000)
    os.write(target.descriptor, b"of a worker\n")
    logging.write("ours")
    first, second = logging.end()["first"]
    assert first == "of a worker"
    assert '"ours"' in second


def test_form_of_the_command_wins_for_good(logging: Logging) -> None:
    target = logging.begin(LogFormat.PRETTY)
    place = target.prepare((given := logging.loaded("first", "json")).file, given.config.log)
    assert not target.use(place)
    logging.write("pretty")
    assert logging.end() == {"first": ["00:00:00.000Z  pretty"]}


def test_same_place_and_form_is_no_change(logging: Logging) -> None:
    target = logging.begin()
    descriptor = target.descriptor
    assert not target.use(target.prepare((given := logging.loaded()).file, given.config.log))
    assert target.descriptor == descriptor
    logging.end()


def test_other_place_is_open_at_once_and_used_when_told(logging: Logging) -> None:
    target = logging.begin()
    place = target.prepare((given := logging.loaded("second", "pretty")).file, given.config.log)
    logging.write("before")
    assert target.use(place)
    place.close()  # as the reload does in any case
    logging.write("after")
    assert target.settings.format is LogFormat.PRETTY
    found = logging.end()
    assert found["second"][-1] == "00:00:00.000Z  after"
    assert len(found["first"]) + len(found["second"]) == 2  # what was queued goes along


def test_other_form_at_the_same_place(logging: Logging) -> None:
    target = logging.begin()
    assert target.use(target.prepare((given := logging.loaded("first", "pretty")).file, given.config.log))
    logging.write("pretty")
    assert logging.end() == {"first": ["00:00:00.000Z  pretty"]}


def test_place_that_is_not_used_is_closed(logging: Logging) -> None:
    target = logging.begin()
    target.prepare((given := logging.loaded("second")).file, given.config.log).close()
    logging.write("first")
    found = logging.end()
    assert (len(found["first"]), found["second"]) == (1, [])


def test_place_that_cannot_be_written_is_a_problem_and_no_change(logging: Logging) -> None:
    target = logging.begin()
    (logging.directory / "loop").symlink_to("loop")
    with pytest.raises(ConfigError) as caught:
        target.prepare((given := logging.loaded("loop")).file, given.config.log)
    (problem,) = caught.value.problems
    assert problem.key == "log.file"
    logging.write("still")
    (logging.directory / "loop").unlink()
    assert len(logging.end()["first"]) == 1


def test_renamed_file_is_made_anew(logging: Logging) -> None:
    target = logging.begin()
    logging.write("before")
    (logging.directory / "first").rename(logging.directory / "first.1")
    target.reopen()
    logging.write("after")
    os.write(target.descriptor, b"of a new worker\n")
    found = logging.end()
    assert sum(len(lines) for lines in found.values()) == 3
    assert "of a new worker" in found["first"]
    assert '"after"' in found["first"][-1] + found["first"][-2]


def test_old_file_is_kept_when_there_can_be_no_new_one(logging: Logging) -> None:
    target = logging.begin()
    (logging.directory / "first").rename(logging.directory / "first.1")
    (logging.directory / "first").symlink_to("first")
    with pytest.raises(OSError, match="symbolic"):
        target.reopen()
    assert target.losses() == (0, 1)
    logging.write("still")
    (logging.directory / "first").unlink()
    assert len(logging.end()["first.1"]) == 1


def test_standard_output_is_nobodys_to_reopen(logging: Logging) -> None:
    target = logging.begin(file=None)
    descriptor = target.descriptor
    target.reopen()
    assert target.descriptor == descriptor
    place = target.prepare((given := logging.loaded("second")).file, given.config.log)
    assert target.use(place)
    place = target.prepare((given := logging.loaded(None)).file, given.config.log)
    assert target.use(place)
    logging.end()
