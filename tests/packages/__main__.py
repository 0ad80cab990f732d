"""`./dev package`: build the archive of the sources, the wheel and the Debian package, judge them, and say where they are.

The wheel is built twice, in different places, and has to have the same bytes. As root the package is then installed in a bare Debian,
used, upgraded under load, removed and purged. It takes about fifteen minutes, most of it for compiling.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.debian_roots import RootError, bare_root
from tests.fresh.rooms import room
from tests.machine_settings import machine_settings
from tests.packages.building import (
    ROOT,
    BuildError,
    Release,
    built,
    debian_package,
    installed_by_pipx,
    lint,
    release,
)
from tests.packages.installed import visit

_NEXT = "+next1"
"""What is appended to the version of the package that is upgraded to."""


def main() -> int:
    """Build and judge, and answer the exit code."""
    parser = argparse.ArgumentParser(
        prog="./dev package", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--no-root", action="store_true", help="do not install the package in a bare Debian")
    parser.add_argument(
        "--wheels", action="store_true", help="build the wheels alone, for each Python that is here (3.11 to 3.14)"
    )
    arguments = parser.parse_args()
    if arguments.wheels:
        return only_wheels()
    is_visited = os.geteuid() == 0 and not arguments.no_root
    try:
        with tempfile.TemporaryDirectory(prefix="plexigate-package-") as directory:
            scratch = Path(directory)
            made = release(scratch, ROOT / "dist", say)
            say("lintian")
            lint(made)
            say(f"pipx: {installed_by_pipx(made.wheel, scratch)}")
            if is_visited:
                visited(made, scratch)
    except (BuildError, RootError, subprocess.CalledProcessError) as error:
        say(f"./dev package: failed: {error}")
        return 1
    for path in (made.sdist, made.wheel, made.package):
        sys.stdout.write(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1_000_000:.1f} MB\n")
    if not is_visited:
        say("not tried in a bare Debian, which needs root")
    return 0


def only_wheels() -> int:
    """Build the archive of the sources, and from it the wheels; answer the exit code."""
    with tempfile.TemporaryDirectory(prefix="plexigate-package-") as directory:
        sdist = built(ROOT, "sdist", Path(directory))
        program = ROOT / "docker" / "building" / "wheels.py"
        return subprocess.run([sys.executable, str(program), str(sdist), str(ROOT / "dist")], check=False).returncode


def visited(made: Release, scratch: Path) -> None:
    """Try the package, and one with a higher version, in a bare Debian."""
    say("a package with a higher version")
    version = made.package.name.split("_")[1]
    upgraded = debian_package(made.sdist, f"{version}{_NEXT}")
    settings = machine_settings(scratch / "settings")
    base = bare_root(ROOT / ".dev" / "roots", settings.environment, say)
    with room(base, settings) as place:
        try:
            visit(place, (made.package, upgraded), say)
        except (BuildError, RootError):
            keep_logs(place.root)
            raise


def keep_logs(root: Path) -> None:
    """Put what apt and the service have printed there into .dev/package."""
    kept = ROOT / ".dev" / "package"
    kept.mkdir(parents=True, exist_ok=True)
    for name in ("installing", "plexigate.out"):
        if (log := root / "var" / "log" / name).exists():
            shutil.copy(log, kept)
            say(f"see {kept.relative_to(ROOT)}/{name}")


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
