"""The virtual environment in which `./dev` runs the sources, made in a second."""

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "docker" / "building" / "environment.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def environment(place: Path) -> Path:
    subprocess.run([sys.executable, PROGRAM, place], check=True, timeout=60)
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("environment") / "venv")


def said(place: Path, *words: str) -> str:
    command = [str(place / "bin" / "python"), *words]
    # of this process, whose code may be compiled
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, cwd=place, env=own, capture_output=True, text=True, timeout=60, check=True).stdout


def test_it_runs_the_sources_and_pip_knows_that(place: Path) -> None:
    assert said(place, "-c", "import proxy; print(proxy.__file__)").strip() == str(ROOT / "proxy" / "__init__.py")
    (known,) = [one for one in json.loads(said(place, "-m", "pip", "list", "--format=json")) if one["name"] != "pip"]
    assert known == {"name": "plexigate", "version": PROJECT["version"], "editable_project_location": str(ROOT)}


def test_it_needs_what_the_project_names(place: Path) -> None:
    (facts,) = place.rglob("plexigate-*.dist-info")
    found = [Requirement(one) for one in PathDistribution(facts).requires or ()]
    own = {one for one in found if "extra" not in str(one.marker)}
    assert own == {Requirement(one) for one in PROJECT["dependencies"]}
    (helm,) = [one for one in found if one.name == "helm-python-sdk"]
    assert helm.marker is not None
    assert helm.marker.evaluate({"extra": "dev", "platform_machine": "x86_64"})
    assert not helm.marker.evaluate({"extra": "dev", "platform_machine": "aarch64"})
    assert not helm.marker.evaluate({"extra": "build", "platform_machine": "x86_64"})


def test_linking_anew_replaces_what_another_way_installed(place: Path) -> None:
    packages = next(place.rglob("plexigate-*.dist-info")).parent
    (packages / "plexigate-0.0.1.dist-info").mkdir()
    (packages / "_editable_impl_plexigate.pth").write_text("/nowhere\n")
    subprocess.run([sys.executable, PROGRAM, "--link", place], check=True, timeout=60)
    left = sorted(path.name for path in packages.glob("*plexigate*"))
    assert left == ["_plexigate.pth", f"plexigate-{PROJECT['version']}.dist-info"]


def test_pip_removes_all_of_it(tmp_path: Path) -> None:
    place = environment(tmp_path / "venv")
    assert (place / "bin" / "plexigate").exists()
    said(place, "-m", "pip", "uninstall", "--yes", "plexigate")
    assert list(place.rglob("*plexigate*")) == []
