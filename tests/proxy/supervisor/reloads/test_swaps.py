"""Changes of secrets alone, over two workers."""

from pathlib import Path

import pytest

from config.problems import ConfigError
from tests.serving_rotations import serving, shown_by_both


async def test_all_workers_change_over_and_it_is_decided_in_between(tmp_path: Path) -> None:
    async with serving(tmp_path) as one:
        first = one.scene.shelf().current()
        assert first is not None
        assert await one.shown() == shown_by_both(first)
        second = one.scene.stored()
        await one.swap(one.files(second), one.deciding(second))
        assert await one.shown() == shown_by_both(second)
        assert one.decisions == [second.number]
        assert one.served.edition.number == 2


async def test_a_decision_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    async with serving(tmp_path) as one:
        first, second = one.scene.shelf().current(), one.scene.stored()
        assert first is not None

        def disk_is_full() -> None:
            raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space left"):
            await one.swap(one.files(second), disk_is_full)
        assert await one.shown() == shown_by_both(first)
        assert one.served.edition.number == 1
        await one.swap(one.files(second), one.deciding(second))
        assert await one.shown() == shown_by_both(second)


async def test_a_pair_that_does_not_fit_is_refused_before_a_worker_is_asked(tmp_path: Path) -> None:
    async with serving(tmp_path) as one:
        second, third = one.scene.stored(), one.scene.stored()
        files = one.files(second)
        key = next(path for path in files if path.name == "key.pem")
        files[key] = one.files(third)[key]
        with pytest.raises(ConfigError, match="does not fit"):
            await one.swap(files, one.deciding(second))
        assert one.decisions == []
