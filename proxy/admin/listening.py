"""The sockets of the admin server, and the checks of their places.

A Unix socket is bound under another name and then renamed. So it replaces a socket that a crash
left behind in one step, and a client always meets a socket with a listener. The mode is set before
`bind`: between `bind` and `chmod` any user could connect. Linux gives the new file the mode of the
socket.
"""

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final

from config.addresses import Bind
from config.admin import AdminConfig
from config.loaded import ConfigFile
from config.problems import Problem, shown
from proxy.admin.settings import AdminSettings
from proxy.building.places import directory_fault
from proxy.net.bound_socket import listening_socket

_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700
# unix(7): sun_path holds 108 octets with its final NUL. The name that is bound first ends in the
# process id, which has up to 7 digits.
_LONGEST_PATH: Final = 107 - len(".4194304")
_REMEDY: Final = (
    f"choose another path for admin.socket that this process may write to, of at most {_LONGEST_PATH} bytes"
)
BACKLOG: Final = 64


class AdminSocketError(Exception):
    """The admin server cannot listen at `place`. `remedy` says what to do about `found`."""

    def __init__(self, place: str, found: str, remedy: str) -> None:
        """Remember the facts."""
        super().__init__(place, found, remedy)
        self.place = place
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        """One sentence with the remedy."""
        return f"{self.place}: {self.found}; {self.remedy}"


class _OfAnotherUser(AdminSocketError):
    """The directory belongs to another user."""


def admin_socket(path: Path) -> socket.socket:
    """Listen at `path`. Makes the last directory of the path if it is missing.

    Raises `AdminSocketError`.
    """
    try:
        _refuse_place(path)
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(_DIRECTORY_MODE)
        _refuse_listener(path)
        return _bound(path)
    except OSError as error:
        raise AdminSocketError(str(path), error.strerror or str(error), _REMEDY) from None


def socket_problems(file: ConfigFile, admin: AdminConfig) -> list[Problem]:
    """The faults that keep this process from making the admin socket. Only reads.

    A proxy that listens there now is no fault.
    """
    path = AdminSettings.of(file, admin).socket
    try:
        _refuse_place(path)
        fault = directory_fault(path.parent)
    except OSError as error:
        fault = error.strerror or str(error)
    except _OfAnotherUser as error:
        if os.geteuid() == 0:  # root mostly checks for a proxy that another user starts
            better = "to check as that user as well, if it is the one of the proxy (docs/deploy.md shows how)"
            return [file.warning(("admin", "socket"), f"{shown(error.place)}, {error.found}", better)]
        return [file.error(("admin", "socket"), f"{shown(error.place)}, {error.found}", error.remedy)]
    except AdminSocketError as error:
        return [file.error(("admin", "socket"), f"{shown(error.place)}, {error.found}", error.remedy)]
    return [] if fault is None else [file.error(("admin", "socket"), f"{shown(str(path))}, {fault}", _REMEDY)]


def _refuse_place(path: Path) -> None:
    """Refuse a path that is too long, an open directory, and another file in the socket's place.

    Raises `AdminSocketError` or `OSError`.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise AdminSocketError(str(path), f"a path of more than {_LONGEST_PATH} bytes", _REMEDY)
    _refuse_directory(path.parent)
    with contextlib.suppress(FileNotFoundError):
        # a socket without a listener may be replaced
        if not stat.S_ISSOCK(path.lstat().st_mode):
            remedy = "remove it, or choose another path for admin.socket"
            raise AdminSocketError(str(path), "something that is no socket", remedy)


def _refuse_directory(directory: Path) -> None:
    """Refuse a directory that other users can write: they could put their own socket in it.

    A missing directory is accepted if its parent exists.
    """
    try:
        facts = directory.stat()
    except FileNotFoundError:
        directory.parent.stat()
        return
    owner = f"a directory of user {facts.st_uid} with mode {stat.S_IMODE(facts.st_mode):04o}"
    remedy = "use one that only this user (or root) may write to"
    if facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX:
        raise AdminSocketError(str(directory), owner, remedy)
    if facts.st_uid not in {0, os.geteuid()}:
        raise _OfAnotherUser(str(directory), owner, remedy)


def _refuse_listener(path: Path) -> None:
    """Refuse a socket on which another proxy listens."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(0)
        try:
            with contextlib.suppress(BlockingIOError):  # its queue is full, so a process has it
                sock.connect(str(path))
        except ConnectionRefusedError:
            return  # left behind
    raise AdminSocketError(
        str(path),
        "another process listens there",
        "is Plexigate running already? Stop it, or give this one another admin.socket",
    )


def _bound(path: Path) -> socket.socket:
    new = path.with_name(f"{path.name}.{os.getpid()}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), _MODE)
        new.unlink(missing_ok=True)
        sock.bind(str(new))
        sock.listen(BACKLOG)
        sock.settimeout(0)
        new.replace(path)
    except OSError:
        sock.close()
        new.unlink(missing_ok=True)
        raise
    return sock


def remove_admin_socket(path: Path, inode: int) -> None:
    """Remove the socket, unless another process has replaced it by its own."""
    with contextlib.suppress(FileNotFoundError):  # it is gone already
        if path.lstat().st_ino == inode:
            path.unlink()


def metrics_socket(bind: Bind) -> socket.socket:
    """Listen on a TCP address. Raises `AdminSocketError`."""
    try:
        return listening_socket(bind, BACKLOG)
    except OSError as error:
        used = "stop what uses it (ss -ltnp shows it), or " if error.errno == errno.EADDRINUSE else ""
        remedy = f"{used}choose another address for admin.metrics_bind"
        raise AdminSocketError(str(bind), error.strerror or str(error), remedy) from None
