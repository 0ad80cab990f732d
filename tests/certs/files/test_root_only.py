"""Programs that root alone can change."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.files.root_only import OthersCanChange, judge_program
from tests.accounts import NEEDS_ROOT, root_only_directory

USER = 1_000
pytestmark = NEEDS_ROOT


@pytest.fixture
def place() -> Iterator[Path]:
    with root_only_directory() as made:
        yield made


def script(path: Path, first: str = "#!/bin/sh") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{first}\n")
    path.chmod(0o755)
    return path


def found(file: Path) -> str:
    with pytest.raises(OthersCanChange) as caught:
        judge_program(file)
    return str(caught.value)


def test_one_of_root_in_directories_of_root(place: Path) -> None:
    judge_program(script(place / "bin/plexigate"))


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_file_that_others_can_write(place: Path, mode: int) -> None:
    file = script(place / "plexigate")
    file.chmod(mode)
    assert found(file) == f"{file}, of user 0 with mode {mode:04o}"


def test_a_file_of_another_user(place: Path) -> None:
    file = script(place / "plexigate")
    os.chown(file, USER, USER)
    assert found(file) == f"{file}, of user 1000 with mode 0755"


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_a_directory_that_others_can_write_also_a_sticky_one(place: Path, mode: int) -> None:
    file = script(place / "lib/bin/plexigate")
    file.parent.parent.chmod(mode)
    assert found(file) == f"{file.parent.parent}, of user 0 with mode {mode:04o}"


def test_a_directory_of_another_user_on_the_way(place: Path) -> None:
    file = script(place / "home/bin/plexigate")
    os.chown(file.parent.parent, USER, USER)
    assert f"{file.parent.parent}, of user 1000" in found(file)


def test_a_link_leads_to_what_is_judged(place: Path) -> None:
    file = script(place / "v2/plexigate")
    (link := place / "current").symlink_to("v2")
    judge_program(link / "plexigate")
    (absolute := place / "abs").symlink_to(file.parent)
    judge_program(absolute / ".." / "v2" / "plexigate")
    os.chown(file.parent, USER, USER)
    assert f"{file.parent}, of user 1000" in found(link / "plexigate")


def test_a_link_of_another_user(place: Path) -> None:
    (link := place / "link").symlink_to(script(place / "plexigate"))
    judge_program(link)
    os.chown(link, USER, USER, follow_symlinks=False)
    assert f"{link}, of user 1000" in found(link)


def test_links_in_a_circle(place: Path) -> None:
    a, b = place / "a", place / "b"
    a.symlink_to(b)
    b.symlink_to(a)
    with pytest.raises(OSError, match="Too many levels"):
        judge_program(a)


def test_the_interpreter_of_a_script_is_judged_too(place: Path) -> None:
    with pytest.raises(OSError, match=r"No such file or directory: '.*/gone'"):
        judge_program(script(place / "broken", f"#!{place}/gone"))
    python = script(place / "home/python")
    os.chown(python, USER, USER)
    assert f"{python}, of user 1000" in found(script(place / "plexigate", f"#!{python} -P"))
