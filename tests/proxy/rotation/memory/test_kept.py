"""What is remembered across restarts."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from proxy.rotation.memory.kept import Kept
from tests.rotations import Owner, Rotations


async def taken(scene: Rotations, owner: Owner) -> list[Any]:
    found: list[Any] = []
    await Kept(asyncio.get_running_loop(), owner.tell).take_up(scene.parts.store, found.append)
    return found


async def test_another_process_takes_it_up(tmp_path: Path) -> None:
    scene, owner = Rotations(tmp_path), Owner()
    assert await taken(scene, owner) == []
    await Kept(asyncio.get_running_loop(), owner.tell).keep(scene.parts.store, {"waits": [1, 2]})
    assert await taken(scene, owner) == [{"waits": [1, 2]}]
    assert owner.events == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
async def test_a_damaged_file_is_a_line_in_the_log(tmp_path: Path, content: bytes) -> None:
    scene, owner = Rotations(tmp_path), Owner()
    scene.parts.store.directory.mkdir()
    (scene.parts.store.directory / "rotation.json").write_bytes(content)
    assert await taken(scene, owner) == []
    assert [event["event"] for event in owner.events] == ["rotation_memory_lost"]


async def test_what_the_taker_refuses_is_a_line_too(tmp_path: Path) -> None:
    scene, owner = Rotations(tmp_path), Owner()
    kept = Kept(asyncio.get_running_loop(), owner.tell)
    await kept.keep(scene.parts.store, {})

    def refuse(document: Any) -> None:
        _ = document["waits"]

    await kept.take_up(scene.parts.store, refuse)
    assert owner.told("rotation_memory_lost")[0]["detail"] == "KeyError: 'waits'"


async def test_a_directory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    scene, owner = Rotations(tmp_path), Owner()
    scene.parts.store.directory.write_bytes(b"a file in its place")
    await Kept(asyncio.get_running_loop(), owner.tell).keep(scene.parts.store, {})
    assert len(owner.told("rotation_memory_lost")) == 1
