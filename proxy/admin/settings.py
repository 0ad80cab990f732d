"""Where the admin server listens, and where commands look for it: both ask here.

The runtime directory is the one that systemd made for the service, else /run as root, else the one
of the user's session, else one of the user's own in the temporary directory. Commands of root also
find a service that runs as another user, since systemd's directory and root's are the same when the
unit says `RuntimeDirectory=plexigate`.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.addresses import Bind
from config.admin import AdminConfig
from config.loaded import ConfigFile

_NAME: Final = "plexigate"
_SOCKET: Final = "admin.sock"
_OF_THE_SYSTEM: Final = Path("/run") / _NAME / _SOCKET


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The path of the Unix socket, and the TCP addresses for monitoring."""

    socket: Path
    metrics_bind: tuple[Bind, ...] = ()

    @classmethod
    def of(cls, file: ConfigFile, admin: AdminConfig) -> "AdminSettings":
        """What a configuration says, with the default of this process."""
        socket = default_socket(os.environ, os.geteuid()) if admin.socket is None else file.resolve(admin.socket)
        return cls(socket, admin.metrics_bind)

    @staticmethod
    def places(file: ConfigFile, admin: AdminConfig) -> tuple[Path, ...]:
        """The sockets of a proxy that may run by this configuration.

        Without `admin.socket` it may be the service of the system.
        """
        return sockets_to_try(os.environ, os.geteuid()) if admin.socket is None else (file.resolve(admin.socket),)


def default_socket(environment: Mapping[str, str], user: int) -> Path:
    """The path of the socket without `admin.socket`, for the effective user id `user`."""
    of_service = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]  # systemd.exec(5): there may be several
    if of_service:
        directory = Path(of_service)
        return (directory if directory.name == _NAME else directory / _NAME) / _SOCKET
    if user == 0:
        return _OF_THE_SYSTEM
    of_session = environment.get("XDG_RUNTIME_DIR")
    if of_session:
        return Path(of_session) / _NAME / _SOCKET
    return Path(tempfile.gettempdir()) / f"{_NAME}-{user}" / _SOCKET


def sockets_to_try(environment: Mapping[str, str], user: int) -> tuple[Path, ...]:
    """Where a command looks that was told nothing: at the default, then at the system's service."""
    return tuple(dict.fromkeys((default_socket(environment, user), _OF_THE_SYSTEM)))
