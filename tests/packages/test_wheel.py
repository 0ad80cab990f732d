"""The wheel and the archive of the sources: all that they need, nothing else, and the same bytes each time.

Without compiled code, which takes minutes; `./dev package` judges the wheel that has it.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("proxy", "certs", "config")
NOT_SHIPPED = {"config/dev.toml", "proxy/http2/hpack/_huffman.c", "proxy/quic/_native.c", "proxy/tls/openssl/_native.c"}
LEFT_BY_TOOLS = shutil.ignore_patterns(
    ".git", ".venv", ".dev", ".*cache", ".hypothesis", ".coverage*", "__pycache__", "dist", "*.egg-info"
)


def built(tree: Path, kind: str) -> Path:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SOURCE_DATE"))}
    place = tree.parent / f"{kind} of {tree.name}"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(place)],
        cwd=tree,
        env={**environment, "PLEXIGATE_PURE": "1"},
        capture_output=True,
        timeout=110,
        check=True,
    )
    (archive,) = place.iterdir()
    return archive


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sources in two places; in the second one each file is a year older and writable for the group."""
    place = tmp_path_factory.mktemp("sources")
    first, second = place / "first", place / "a second place"
    shutil.copytree(ROOT, first, ignore=LEFT_BY_TOOLS)
    shutil.copytree(first, second)
    for path in second.rglob("*"):
        os.utime(path, (1_764_000_000, 1_764_000_000))
        if path.is_file():
            path.chmod(path.stat().st_mode | 0o020)
    return first, second


@pytest.fixture(scope="module")
def wheel(trees: tuple[Path, Path]) -> Path:
    return built(trees[0], "wheel")


def test_two_builds_give_the_same_bytes(trees: tuple[Path, Path], wheel: Path) -> None:
    assert built(trees[1], "wheel").read_bytes() == wheel.read_bytes()


def test_archive_of_the_sources_gives_the_same_wheel(trees: tuple[Path, Path], wheel: Path, tmp_path: Path) -> None:
    first, second = (built(tree, "sdist") for tree in trees)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert built(unpacked, "wheel").read_bytes() == wheel.read_bytes()
    left_out = {path.name for path in trees[0].iterdir()} - {path.name for path in unpacked.iterdir()}
    assert left_out == {".ci"}


def test_wheel_has_the_packages_with_their_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith(tuple(f"{one}/" for one in PACKAGES))} == ours - NOT_SHIPPED
    assert ours > NOT_SHIPPED
    assert {f"{package}/py.typed" for package in PACKAGES} < names
    others = {name.partition("/")[2] for name in names - ours}
    information = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"}
    assert information < others
    assert {one for one in others - information if not one.startswith("data/share/")} == set()


def test_wheel_has_manual_pages_and_completions_where_a_prefix_has_them(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shared = {name.partition(".data/data/")[2] for name in archive.namelist() if ".data/data/" in name}
    assert {"share/man/man1/plexigate.1", "share/man/man1/plexigate-run.1", "share/man/man5/plexigate.toml.5"} < shared
    assert {
        "share/bash-completion/completions/plexigate",
        "share/zsh/site-functions/_plexigate",
        "share/fish/vendor_completions.d/plexigate.fish",
    } < shared
