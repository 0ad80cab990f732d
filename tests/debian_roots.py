"""A bare Debian 13 below a directory, as a new machine has it, made once by debootstrap and kept in .dev/roots."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

SUITE = "trixie"
_SOURCES = """\
deb http://deb.debian.org/debian trixie main
deb http://deb.debian.org/debian trixie-updates main
deb http://deb.debian.org/debian-security trixie-security main
"""
"""What a Debian that was just installed asks for packages."""


class RootError(Exception):
    """A root cannot be made or removed; the text is a sentence."""


def bare_root(kept: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> Path:
    """The root, which is never to be changed: copy it. `environment` has the machine's proxies.

    `DEBIAN_MIRROR` in the environment of this process names another mirror. Raises RootError.
    """
    root = kept / SUITE
    if root.exists():
        return root
    if os.geteuid() != 0:
        raise RootError("debootstrap has to run as root: start this as root, or with sudo")
    say(f"debootstrap of {SUITE} to {root} (half a minute, once)")
    kept.mkdir(parents=True, exist_ok=True)
    making = kept / f"{SUITE}.new"
    remove_tree(making)
    command = ["debootstrap", "--variant=minbase", SUITE, str(making)]
    command += [mirror] if (mirror := os.environ.get("DEBIAN_MIRROR")) else []
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RootError("\n".join([f"debootstrap failed with {done.returncode}:", *done.stdout.splitlines()[-10:]]))
    if mirror is None:
        (making / "etc" / "apt" / "sources.list").write_text(_SOURCES, encoding="utf-8")
    shutil.rmtree(making / "var" / "cache" / "apt" / "archives")
    (making / "var" / "cache" / "apt" / "archives" / "partial").mkdir(parents=True)
    making.rename(root)
    return root


def remove_tree(directory: Path) -> None:
    """Remove a directory, unless something is mounted below it: that would be removed too. Raises RootError."""
    if not directory.exists():
        return
    mounted = mounts_below(directory, Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    if mounted:
        raise RootError(f"{directory} is not removed, because these are mounted in it: {', '.join(mounted)}")
    shutil.rmtree(directory)


def mounts_below(directory: Path, mountinfo: str) -> list[str]:
    """The mount points at or below a directory, in a text of the form of /proc/self/mountinfo."""
    place = str(directory.resolve())
    points = [line.split()[4].replace("\\040", " ") for line in mountinfo.splitlines()]
    return [point for point in points if point == place or point.startswith(f"{place}/")]
