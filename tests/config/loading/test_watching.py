"""When a change of files is a reason to reload."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.loading.watching import INTERVAL_SECONDS, FileWatcher, Signature, Watch
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST

FILE = Path("plexigate.toml")


def state(*stamp: int) -> Signature:
    return Signature(((FILE, stamp or None),))


LOADED, OTHER, THIRD, GONE = state(1), state(2), state(3), state()


def seen(*looks: Signature) -> list[bool]:
    watch = Watch(LOADED)
    return [watch.observe(look) for look in looks]


class TestWatch:
    def test_what_is_loaded_is_no_reason(self) -> None:
        assert seen(LOADED, LOADED, LOADED) == [False, False, False]

    def test_a_change_counts_when_it_has_stood_for_an_interval_and_only_once(self) -> None:
        assert seen(OTHER, OTHER, OTHER, OTHER) == [False, True, False, False]

    def test_a_file_that_is_being_written_is_waited_for(self) -> None:
        assert seen(state(2), state(3), state(4), state(4), state(4)) == [False, False, False, True, False]

    def test_a_file_that_vanishes_for_a_moment_is_no_reason(self) -> None:
        assert seen(GONE, LOADED, LOADED, LOADED) == [False, False, False, False]

    def test_a_file_that_stays_away_is_tried_once_and_once_more_when_it_is_back(self) -> None:
        assert seen(GONE, GONE, GONE, GONE, OTHER, OTHER, OTHER) == [False, True, False, False, False, True, False]

    def test_the_state_before_a_failed_attempt_is_a_change_again(self) -> None:
        assert seen(OTHER, OTHER, LOADED, LOADED, LOADED) == [False, True, False, True, False]

    def test_a_reload_that_somebody_else_asked_for_is_not_repeated(self) -> None:
        watch = Watch(LOADED)
        assert not watch.observe(OTHER)
        watch.settle(OTHER)
        assert [watch.observe(OTHER), watch.observe(OTHER)] == [False, False]
        assert [watch.observe(THIRD), watch.observe(THIRD)] == [False, True]

    @given(st.lists(st.sampled_from([LOADED, OTHER, THIRD, GONE]), max_size=30))
    def test_every_attempt_is_for_a_settled_state_other_than_that_of_the_last(self, looks: list[Signature]) -> None:
        acted_upon, before = LOADED, LOADED
        for look, is_reason in zip(looks, seen(*looks), strict=True):
            assert is_reason == (look == before != acted_upon)
            acted_upon, before = look if is_reason else acted_upon, look


class TestSignature:
    def test_missing_files_and_directories_without_permission_have_no_stamp(self, tmp_path: Path) -> None:
        present, missing = tmp_path / "a", tmp_path / "b"
        present.write_text("a")
        signature = Signature.of([present, missing, present / "below a file"])
        stamps = dict(signature.stamps)
        assert stamps[present] is not None
        assert (stamps[missing], stamps[present / "below a file"]) == (None, None)

    @pytest.mark.parametrize(
        "change",
        [
            lambda file: file.write_text("other"),
            lambda file: file.chmod(0o400),
            lambda file: file.unlink(),
            lambda file: (file.parent / "new").rename(file),
        ],
        ids=["written", "mode", "removed", "replaced"],
    )
    def test_a_changed_file_has_another_signature(self, tmp_path: Path, change: Callable[[Path], object]) -> None:
        file = tmp_path / "a"
        file.write_text("a")
        (tmp_path / "new").write_text("a")
        before = Signature.of([file])
        assert Signature.of([file]) == before
        change(file)
        assert Signature.of([file]) != before


IDENTITY = '[identity.chat]\nnames = ["chat.test"]\ncertificate = "{certificate}"\nkey = "chat.key"\n'
MINIMAL = MINIMAL_LISTENER + IDENTITY + MINIMAL_REST


class Stage:
    """A configuration with its files, and a watcher whose intervals are steps of the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "plexigate.toml"
        self.configure("chat.pem")
        self.put("chat.pem")
        self.put("chat.key")
        self.attempts = 0
        self.slept: list[float] = []
        self._steps: list[Callable[[], object]] = []
        self.watcher = FileWatcher(self.file, self._changed, self._sleep)

    def configure(self, certificate: str) -> None:
        self.file.write_text(MINIMAL.format(certificate=certificate))

    def put(self, name: str, content: str = "content") -> None:
        (self.directory / f"{name}.new").write_text(content)
        (self.directory / f"{name}.new").rename(self.directory / name)

    async def run(self, *steps: Callable[[], object]) -> list[int]:
        """Take one step in each interval; answer how many attempts there had been before each of them, and at the end."""
        self._steps, self._counts = [*steps, *[lambda: None] * 2], list[int]()
        with pytest.raises(asyncio.CancelledError):
            await self.watcher.run()
        return self._counts

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._counts.append(self.attempts)
        if not self._steps:
            raise asyncio.CancelledError
        self._steps.pop(0)()

    async def _changed(self) -> None:
        self.attempts += 1


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


class TestFileWatcher:
    async def test_nothing_changes(self, stage: Stage) -> None:
        assert await stage.run() == [0, 0, 0]
        assert stage.slept == [INTERVAL_SECONDS] * 3

    @pytest.mark.parametrize("name", ["chat.pem", "chat.key"])
    async def test_a_new_certificate_or_key(self, stage: Stage, name: str) -> None:
        assert await stage.run(lambda: stage.put(name)) == [0, 0, 1, 1]

    async def test_a_new_configuration_and_then_a_file_that_only_it_names(self, stage: Stage) -> None:
        stage.put("new.pem")
        assert await stage.run(
            lambda: stage.configure("new.pem"), lambda: None, lambda: stage.put("new.pem"), lambda: None
        ) == [0, 0, 1, 1, 2, 2, 2]

    async def test_a_file_that_is_named_before_it_is_there(self, stage: Stage) -> None:
        assert await stage.run(
            lambda: stage.configure("late.pem"), lambda: None, lambda: None, lambda: stage.put("late.pem")
        ) == [0, 0, 1, 1, 1, 2, 2]

    async def test_a_broken_configuration_is_tried_once_and_its_files_are_still_watched(self, stage: Stage) -> None:
        assert await stage.run(
            lambda: stage.file.write_text("[listener"), lambda: None, lambda: None, lambda: stage.put("chat.pem")
        ) == [0, 0, 1, 1, 1, 2, 2]

    async def test_a_configuration_that_is_away_for_a_moment(self, stage: Stage) -> None:
        away = stage.directory / "away"
        counts = await stage.run(lambda: stage.file.rename(away), lambda: away.rename(stage.file))
        assert counts == [0, 0, 0, 1, 1]  # it is back under a newer stamp, which may be another file

    async def test_links_as_kubernetes_swaps_them(self, stage: Stage) -> None:
        for version in ("v1", "v2"):
            (stage.directory / version).mkdir()
            (stage.directory / version / "tls.pem").write_text(version)
        data = stage.directory / "..data"
        data.symlink_to("v1")
        (stage.directory / "tls.pem").symlink_to("..data/tls.pem")
        stage.configure("tls.pem")
        await stage.run()

        def swap() -> None:
            (stage.directory / "..tmp").symlink_to("v2")
            (stage.directory / "..tmp").rename(data)

        assert await stage.run(swap) == [1, 1, 2, 2]

    async def test_a_reload_by_command_is_not_repeated(self, stage: Stage) -> None:
        assert await stage.run(lambda: stage.put("chat.pem"), stage.watcher.reloading) == [0, 0, 0, 0, 0]

    async def test_directories_of_modules_are_not_watched(self, stage: Stage) -> None:
        modules = stage.directory / "modules"
        modules.mkdir()
        stage.file.write_text(MINIMAL.format(certificate="chat.pem") + '[openssl]\nmodule_path = "modules"\n')
        assert modules not in [file for file, _ in stage.watcher.look().stamps]
