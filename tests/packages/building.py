"""What a release consists of, built as an untrusted client would build it: from the archive of the sources, not from this directory."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


class BuildError(Exception):
    """A step failed; the text has the end of what it printed."""


@dataclass(frozen=True, slots=True)
class Release:
    """The files of a release."""

    sdist: Path
    wheel: Path
    package: Path


def run(command: list[str], directory: Path, **environment: str) -> str:
    """Run a program; returns what it printed. Raises BuildError when it fails."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise BuildError("\n".join([f"{' '.join(command)}: {done.returncode}", *done.stdout.splitlines()[-40:]]))
    return done.stdout


def release(scratch: Path, target: Path, say: Callable[[str], None]) -> Release:
    """Build all below `scratch`, and put it into `target`. The wheel is built twice, and both have to be the same."""
    say("the archive of the sources")
    built(ROOT, "sdist", scratch / "sdist")
    (sdist,) = (scratch / "sdist").iterdir()
    wheels = []
    for name in ("one", "another place"):
        say(f"the wheel, compiled in {name!r} (some minutes)")
        tree = unpacked(sdist, scratch / name)
        wheels += [built(tree, "wheel", scratch / f"wheel of {name}")]
    first, second = wheels
    if first.read_bytes() != second.read_bytes():
        raise BuildError(f"two builds of the wheel differ: {first} and {second}")
    if "-none-any" in first.name:
        raise BuildError(f"{first.name} has no compiled code: gcc or the headers of Python are missing")
    say("the Debian package (some minutes)")
    package = debian_package(sdist, "")
    target.mkdir(exist_ok=True)
    return Release(*(Path(shutil.copy2(one, target)) for one in (sdist, first, package)))


def built(tree: Path, kind: str, place: Path) -> Path:
    """Build a wheel or an archive of the sources with the tools of this virtual environment."""
    run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(place)], tree)
    (archive,) = place.iterdir()
    return archive


def unpacked(sdist: Path, place: Path) -> Path:
    """The sources of an archive."""
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    (tree,) = place.iterdir()
    return tree


def debian_package(sdist: Path, version: str) -> Path:
    """Build the package; `version` is put in place of that in the changelog if it is not empty.

    The place is always the same, as the flags of the compiler name it: what it has made before is taken again.
    """
    place = ROOT / ".dev" / "package" / "debian"
    shutil.rmtree(place, ignore_errors=True)
    tree = unpacked(sdist, place)
    if version:
        changelog = tree / "debian" / "changelog"
        text = changelog.read_text(encoding="utf-8")
        changelog.write_text(f"plexigate ({version}) {text.partition(') ')[2]}", encoding="utf-8")
    objects = ROOT / ".dev" / "compiled" / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    (tree / ".dev" / "compiled").mkdir(parents=True, exist_ok=True)
    (tree / ".dev" / "compiled" / "objects").symlink_to(objects)
    run(["dpkg-buildpackage", "--no-sign", "--build=binary"], tree)
    (package,) = place.glob("plexigate_*.deb")
    return package


def lint(release: Release) -> None:
    """Raises BuildError with what lintian finds."""
    # it warns of root, which it does not need to be here
    run(["lintian", "--allow-root", "--fail-on", "error,warning", str(release.package)], ROOT)


def installed_by_pipx(wheel: Path, scratch: Path) -> str:
    """Install the wheel with pipx for a user; returns what the program says of its version."""
    places = {
        "PIPX_HOME": str(scratch / "pipx"),
        "PIPX_BIN_DIR": str(scratch / "bin"),
        "PIPX_MAN_DIR": str(scratch / "man"),
    }
    # compiled code runs in the version of Python that built it alone
    run(["pipx", "install", "--python", str(Path(sys.executable).resolve()), str(wheel)], scratch, **places)
    page = scratch / "man" / "man1" / "plexigate.1"
    if not page.exists():
        raise BuildError(f"pipx has not installed {page}")
    return run([str(scratch / "bin" / "plexigate"), "--version"], scratch).strip()
