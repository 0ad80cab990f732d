"""Builds the wheels of a release: one for each CPython from 3.11 to 3.14 that is on this machine.

    python3 docker/building/wheels.py dist/plexigate-0.1.0.tar.gz dist

`./dev package --wheels` runs it on a developer's machine, where mostly one or two are found. A
pipeline runs it twice, on x86_64 and on aarch64, each time in a container that has all four:

    podman run --rm --platform linux/arm64 -v "$PWD:/work" -w /work IMAGE \\
        python3 docker/building/wheels.py --all dist/plexigate-0.1.0.tar.gz dist

IMAGE is one for wheels (`manylinux_2_28`, whose interpreters are in /opt/python), or a Debian with
gcc and several Pythons. The tag of a wheel names the oldest glibc that has all symbols which its
libraries ask for.

Everything is installed by the hashes of the lock files in the archive, so a pipeline gets those
packages alone that were tried before.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

VERSIONS: Final = ("3.11", "3.12", "3.13", "3.14")
_LOCKS: Final = ("constraints.txt", "constraints-build.txt")


class WheelError(Exception):
    """A step failed; the text has the end of what it printed."""


def main() -> int:
    """Build all, say which are missing, and answer the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sdist", type=Path, help="the archive of the sources")
    parser.add_argument("into", type=Path, help="the directory for the wheels")
    parser.add_argument("--all", action="store_true", help="fail if one of the interpreters is missing")
    arguments = parser.parse_args()
    found = dict(interpreters())
    try:
        for version, python in found.items():
            _say(f"the wheel for Python {version}, by {python} (a minute or two)")
            _say(f"  {built(python, arguments.sdist, arguments.into).name}")
    except WheelError as error:
        _say(f"failed: {error}")
        return 1
    missing = [one for one in VERSIONS if one not in found]
    if missing:
        _say(f"not built, as there is no such interpreter here: Python {', '.join(missing)}")
    return 1 if missing and arguments.all else 0


def interpreters() -> Iterator[tuple[str, str]]:
    """Each version that is here, with its interpreter: of the PATH, or of an image for wheels."""
    for version in VERSIONS:
        tag = f"cp{version.replace('.', '')}"
        for name in (f"python{version}", f"/usr/bin/python{version}", f"/opt/python/{tag}-{tag}/bin/python"):
            path = shutil.which(name)
            # what a version switcher puts into the PATH may run nothing, or another version
            if path is not None and _version(path) == version:
                yield version, path
                break


def _version(python: str) -> str:
    command = [python, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - of the PATH


def built(python: str, sdist: Path, into: Path) -> Path:
    """Build a wheel in an environment of its own, install it there, and try it.

    Raises `WheelError`.
    """
    with tempfile.TemporaryDirectory(prefix="plexigate-wheel-") as directory:
        scratch = Path(directory)
        with tarfile.open(sdist) as archive:
            archive.extractall(scratch / "sources", filter="data")
        (tree,) = (scratch / "sources").iterdir()
        _run([python, "-m", "venv", str(scratch / "venv")], scratch)
        pip = [str(scratch / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        _run([*pip, "--require-hashes", *(word for name in _LOCKS for word in ("-r", name))], tree)
        _run([pip[0], "-m", "hatchling", "build", "-t", "wheel", "-d", str(scratch / "made")], tree)
        (wheel,) = (scratch / "made").iterdir()
        _run([*pip, str(wheel)], scratch)
        said = _run([str(scratch / "venv" / "bin" / "plexigate"), "--version"], scratch)
        if "hot path compiled" not in said:
            raise WheelError(f"{wheel.name} has no compiled code: a C compiler or the headers of {python} are missing")
        into.mkdir(exist_ok=True)
        return Path(shutil.copy2(wheel, into))


def _run(command: list[str], directory: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PLEXIGATE_PURE"}}
    done = subprocess.run(  # noqa: S603 - of this file
        command,
        cwd=directory,
        env={**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise WheelError("\n".join([f"{' '.join(command)}: {done.returncode}", *done.stdout.splitlines()[-20:]]))
    return done.stdout


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
