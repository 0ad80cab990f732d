"""A root in which an untrusted client works: namespaces of its own for mounts and processes, and the network of the machine.

The mounts exist in the namespace alone, and end with its first process. So a copy of a root can be removed afterwards, whatever has
happened in it; `remove_tree` looks once more before it does.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.debian_roots import RootError, remove_tree
from tests.machine_settings import MachineSettings

_FIRST_PROCESS = """
set -eu
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
echo ready
trap '' CHLD  # so that the kernel takes orphans that have ended
exec chroot "$1" sleep infinity
"""
_APT_LIKE_A_PERSON = 'APT::Get::Assume-Yes "true";\nquiet "1";\nDpkg::Use-Pty "false";\n'
"""The answers of an operator who says yes."""


@dataclass(frozen=True)
class Room:
    """A root that is entered by the process that keeps its namespaces."""

    root: Path
    pid: int
    environment: Mapping[str, str]

    def entering(self, user: str, home: str) -> list[str]:
        """What stands before a command that a user runs there, with an environment as after a login."""
        variables = {**self.environment, "LANG": "C.UTF-8", "TERM": "dumb", "DEBIAN_FRONTEND": "noninteractive"}
        return [
            *["nsenter", f"--target={self.pid}", "--mount", "--pid", "--root", f"--wdns={home}"],
            *["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"],
            *["env", *(f"{name}={value}" for name, value in variables.items())],
        ]

    def processes(self) -> Iterator[tuple[int, str]]:
        """What runs there, with its command line, without the process that keeps the namespaces. A zombie has none."""
        ours = Path(f"/proc/{self.pid}/ns/pid").readlink()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ends meanwhile
                command = (entry / "cmdline").read_text().replace("\0", " ").strip()
                if command and (entry / "ns" / "pid").readlink() == ours and int(entry.name) != self.pid:
                    yield int(entry.name), command

    def run(self, command: str, user: str = "root", home: str = "/root") -> None:
        """Run a command of a shell. Raises RootError with the end of its output when it fails."""
        done = subprocess.run(
            [*self.entering(user, home), "sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise RootError("\n".join([f"`{command}` exits with {done.returncode}:", *done.stdout.splitlines()[-30:]]))


@contextmanager
def room(base: Path, settings: MachineSettings) -> Iterator[Room]:
    """A copy of a root, entered, with what it needs to reach the network. It is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="plexigate-fresh-", dir=base.parent))
    root = directory / "root"
    try:
        subprocess.run(["cp", "--archive", str(base), str(root)], check=True)
        settings.copy_to(root)
        for name in ("resolv.conf", "hosts"):
            shutil.copyfile(f"/etc/{name}", root / "etc" / name)
        (root / "etc" / "apt" / "apt.conf.d" / "99person").write_text(_APT_LIKE_A_PERSON, encoding="utf-8")
        with _first_process(root) as pid:
            yield Room(root, pid, settings.environment)
    finally:
        remove_tree(directory)


@contextmanager
def _first_process(root: Path) -> Iterator[int]:
    """The process that keeps the namespaces; the kernel ends all others in them with it."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _FIRST_PROCESS, "sh", str(root)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as unshare:
        try:
            assert unshare.stdout is not None
            if unshare.stdout.readline() != "ready\n":
                raise RootError("namespaces of mounts and processes cannot be made here: run this as root")
            children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text(encoding="ascii").split()
            yield int(children[0])
        finally:
            unshare.kill()
            os.waitpid(unshare.pid, 0) if unshare.poll() is None else None
