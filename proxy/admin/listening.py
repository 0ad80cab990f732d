"""The sockets of the admin server, and the checks of their places.

A Unix socket is bound under another name and then renamed. So it replaces a socket that a crash
left behind in one step, and a client always meets a socket with a listener. The mode is set before
`bind`: between `bind` and `chmod` any user could connect. Linux gives the new file the mode of the
socket.

Workers connect to the socket of the page as their own user. So its file lets everybody connect, and
the door behind it asks the kernel for the user of each peer (`doors`).
"""

import contextlib
import errno
import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.loading.loaded import ConfigFile, LoadedConfig
from config.values.addresses import Bind
from config.values.problems import Problem, shown
from proxy.admin.settings import AdminSettings
from proxy.building.places import directory_fault
from proxy.net.bound_socket import listening_socket

_DIRECTORY_MODE: Final = 0o700
# unix(7): sun_path holds 108 octets with its final NUL. The name that is bound first ends in the
# process id, which has up to 7 digits.
_LONGEST_PATH: Final = 107 - len(".4194304")
BACKLOG: Final = 64
_CREDENTIALS: Final = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class _Use:
    """What a Unix socket is for: the key that names it, and the mode of its file."""

    key: str
    mode: int

    @property
    def remedy(self) -> str:
        return f"choose another path for {self.key} that this process may write to, of at most {_LONGEST_PATH} bytes"


_COMMANDS: Final = _Use("admin.socket", 0o600)
_PAGE: Final = _Use("admin.page_socket", 0o666)


class AdminSocketError(Exception):
    """The admin server cannot listen at `place`. `remedy` says what to do about `found`."""

    def __init__(self, place: str, found: str, remedy: str) -> None:
        super().__init__(place, found, remedy)
        self.place = place
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.place}: {self.found}; {self.remedy}"


class _OfAnotherUser(AdminSocketError):
    """The directory belongs to another user."""


def admin_socket(path: Path) -> socket.socket:
    """Listen at `path`, whose last directory is made if needed. Raises `AdminSocketError`."""
    return _unix_socket(path, _COMMANDS)


def page_socket(path: Path) -> socket.socket:
    """Listen at `path` for requests to the page, as `admin_socket` does."""
    return _unix_socket(path, _PAGE)


def _unix_socket(path: Path, use: _Use) -> socket.socket:
    try:
        _refuse_place(path, use)
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(_DIRECTORY_MODE)
        _refuse_listener(path, use)
        return _bound(path, use.mode)
    except OSError as error:
        raise AdminSocketError(str(path), error.strerror or str(error), use.remedy) from None


def socket_problems(loaded: LoadedConfig) -> list[Problem]:
    """The faults that keep this process from making its Unix sockets, and servers that are one of
    them. Only reads.

    A proxy that listens there now is not a fault.
    """
    settings = AdminSettings.of(loaded.file, loaded.config.admin)
    problems = _problems(loaded.file, settings.socket, _COMMANDS)
    if settings.page_socket is not None:
        problems += _problems(loaded.file, settings.page_socket, _PAGE)
    own = {os.path.realpath(one) for one in (settings.socket, settings.page_socket) if one is not None}
    for name, upstream in loaded.config.upstream.items():
        for index, server in enumerate(upstream.servers):
            if server.address.scheme == "unix" and os.path.realpath(server.address.path) in own:
                found = f"{server.address}, where this proxy takes commands, or shows its page"
                allowed = "the socket of a server: a client that reaches this one could reload the proxy"
                problems.append(loaded.file.error(("upstream", name, "servers", index), found, allowed))
    return problems


def _problems(file: ConfigFile, path: Path, use: _Use) -> list[Problem]:
    key = tuple(use.key.split("."))
    try:
        _refuse_place(path, use)
        fault = directory_fault(path.parent)
    except OSError as error:
        fault = error.strerror or str(error)
    except _OfAnotherUser as error:
        if os.geteuid() == 0:  # root mostly checks for a proxy that another user starts
            better = "to check as that user as well, if it is the one of the proxy (docs/deploy.md shows how)"
            return [file.warning(key, f"{shown(error.place)}, {error.found}", better)]
        return [file.error(key, f"{shown(error.place)}, {error.found}", error.remedy)]
    except AdminSocketError as error:
        return [file.error(key, f"{shown(error.place)}, {error.found}", error.remedy)]
    return [] if fault is None else [file.error(key, f"{shown(str(path))}, {fault}", use.remedy)]


def _refuse_place(path: Path, use: _Use) -> None:
    """Refuse a path that is too long, an open directory, and another file in the socket's place.

    Raises `AdminSocketError` or `OSError`.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise AdminSocketError(str(path), f"a path of more than {_LONGEST_PATH} bytes", use.remedy)
    _refuse_directory(path.parent)
    with contextlib.suppress(FileNotFoundError):
        # a socket without a listener may be replaced
        if not stat.S_ISSOCK(path.lstat().st_mode):
            remedy = f"remove it, or choose another path for {use.key}"
            raise AdminSocketError(str(path), "something that is not a socket", remedy)


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


def _refuse_listener(path: Path, use: _Use) -> None:
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
        f"is Plexigate running already? Stop it, or give this one another {use.key}",
    )


def _bound(path: Path, mode: int) -> socket.socket:
    new = path.with_name(f"{path.name}.{os.getpid()}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), mode)
        new.unlink(missing_ok=True)
        sock.bind(str(new))
        if mode != _COMMANDS.mode:
            _open_to_all(new, mode)  # the umask has taken something of it
        sock.listen(BACKLOG)
        sock.settimeout(0)
        new.replace(path)
    except OSError:
        sock.close()
        new.unlink(missing_ok=True)
        raise
    return sock


def _open_to_all(path: Path, mode: int) -> None:
    """Change the mode of a socket, and of nothing that another process has put in its place."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.EEXIST, "another process has put something else there", str(path))
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
    finally:
        os.close(descriptor)


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


def peer_credentials(sock: socket.socket) -> tuple[int, int]:
    """Process and user at the other end of a Unix socket (unix(7), SO_PEERCRED)."""
    process, user, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return process, user
