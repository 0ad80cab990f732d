"""slim.py ROOT [PACKAGE...]: leave in a root what the proxy needs to run, and remove the rest.

It runs once, in a stage of docker/Dockerfile. A Debian root has some 80 packages that install
packages: apt, dpkg, perl, the GNU tools. The proxy calls none of them. What stays is KEPT, the
packages that are named as arguments, and what they depend on. The database of dpkg stays too and
names these packages, because scanners for vulnerabilities read it. BusyBox brings a shell and small
tools for an operator who inspects the container.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from docker.building.packages import STATUS, Package, installed, needed

KEPT = (
    *("base-files", "base-passwd", "busybox", "ca-certificates", "libc-bin", "libnghttp3-9", "libngtcp2-16"),
    *("openssl", "pkcs11-provider", "python3"),
)
"""The interpreter, HTTP/3, keys in tokens, the authorities of the system, a shell."""
CUT = frozenset({"adduser", "awk", "debconf", "debconf-2.0", "dpkg", "passwd", "perl-base", "ucf"})
"""What the kept packages name as dependencies for their installation only."""
UNUSED = (
    "boot",
    "etc/apt",
    "etc/pip.conf",
    "home",
    "media",
    "opt",
    "run/machine",
    "srv",
    "usr/games",
    "usr/include",
    "usr/lib/*/gconv",
    "usr/lib/python3.*/pydoc_data",
    "usr/lib/python3.*/test",
    "usr/local",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/debconf",
    "usr/share/doc/*/[!c]*",
    "usr/share/doc/*/changelog*",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl5",
    "usr/src",
    "var/backups",
    "var/cache/*",
    "var/lib/apt",
    "var/lib/dpkg/[!s]*",
    "var/lib/dpkg/status-old",
    "var/log/*",
    "var/tmp/*",
)
"""What no program of the image reads, and where `./dev image` mounts settings of the machine.

The copyright files of the packages stay.
"""


def main(arguments: Sequence[str]) -> None:
    root = Path(arguments[0])
    slim(root, arguments[1:])
    listed = subprocess.run(["/usr/bin/busybox", "--list"], capture_output=True, text=True, check=True)
    link(root, listed.stdout.split())


def slim(root: Path, packages: Iterable[str]) -> None:
    """Remove the files of all other packages, their entries in dpkg's database, and what is UNUSED.

    Raises KeyError for a package that is not installed.
    """
    found = installed((root / STATUS).read_text(encoding="utf-8"))
    stay = needed(found, {*KEPT, *packages}, CUT)
    kept = {path for name in stay for path in files_of(root, found[name])}
    gone = {path for name in found.keys() - stay for path in files_of(root, found[name])}
    for path in gone - kept:
        if path.is_symlink() or path.is_file():
            path.unlink()
    (root / STATUS).write_text("".join(f"{found[name].paragraph}\n\n" for name in sorted(stay)), encoding="utf-8")
    for pattern in UNUSED:
        for path in list(root.glob(pattern)):
            remove(path)
    remove_broken_links(root)
    remove_empty(root / "usr")


def files_of(root: Path, package: Package) -> list[Path]:
    """The paths that dpkg wrote for a package; their directories are resolved: /bin is /usr/bin."""
    info = root / "var" / "lib" / "dpkg" / "info"
    lists = [info / f"{package.name}.list", info / f"{package.name}:{package.architecture}.list"]
    lines = [line for one in lists if one.exists() for line in one.read_text(encoding="utf-8").splitlines()]
    paths = [root / line.lstrip("/") for line in lines if line not in {"", "/."}]
    return [path.parent.resolve() / path.name for path in paths]


def remove(path: Path) -> None:
    """Remove a file, a link or a directory with all that is in it; it may be gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_broken_links(root: Path) -> None:
    """Remove links to programs that are gone, twice: a link may lead to another link."""
    for directory in 2 * [root / "etc" / "alternatives", root / "usr" / "bin", root / "usr" / "sbin"]:
        for path in [one for one in directory.glob("*") if one.is_symlink()]:
            target = path.readlink()
            target = root / target.relative_to("/") if target.is_absolute() else path.parent / target
            if not target.is_symlink() and not target.exists():
                path.unlink()


def remove_empty(directory: Path) -> None:
    """Remove the empty directories below a directory."""
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()


def link(root: Path, applets: Iterable[str]) -> None:
    """Make the tools of BusyBox that no package brings, so that `sh` and `ls` are there."""
    for applet in applets:
        places = [root / "usr" / "bin" / applet, root / "usr" / "sbin" / applet]
        if not any(place.is_symlink() or place.exists() for place in places):
            places[0].symlink_to("busybox")


if __name__ == "__main__":
    main(sys.argv[1:])
