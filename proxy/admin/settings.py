"""The place of the admin socket, for the server and for the commands that look for it.

The socket is in the runtime directory. This is the first that applies of: the directory that
systemd made for the service, a directory in /run for root, the directory of the user's session, and
a directory of the user in the temporary directory. If the unit says `RuntimeDirectory=plexigate`,
systemd's directory is the same as root's. So commands of root also find a service that runs as
another user.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # commands ask without a configuration
    from config.loading.loaded import ConfigFile
    from config.tables.operations.admin import AdminConfig
    from config.values.addresses import Bind

_NAME: Final = "plexigate"
_SOCKET: Final = "admin.sock"
_OF_THE_SYSTEM: Final = Path("/run") / _NAME / _SOCKET


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The path of the Unix socket, the TCP addresses for monitoring, and the socket of the page."""

    socket: Path
    metrics_bind: "tuple[Bind, ...]" = ()
    page_socket: Path | None = None

    @classmethod
    def of(cls, file: "ConfigFile", admin: "AdminConfig") -> "AdminSettings":
        """The settings of a configuration, with the defaults of this process."""
        socket = default_socket(os.environ, os.geteuid()) if admin.socket is None else file.resolve(admin.socket)
        page = None if admin.page_socket is None else file.resolve(admin.page_socket)
        return cls(socket, admin.metrics_bind, page)

    @staticmethod
    def places(file: "ConfigFile", admin: "AdminConfig") -> tuple[Path, ...]:
        """The sockets that a proxy with this configuration may have.

        Without `admin.socket` that proxy may also be the service of the system.
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
    """The sockets that a command tries by default: its user's own, then the system's service.

    A `RUNTIME_DIRECTORY` that is called plexigate is that of one Plexigate: no other one is meant.
    """
    own = default_socket(environment, user)
    of_service = Path(environment.get("RUNTIME_DIRECTORY", "").partition(":")[0])
    return (own,) if of_service.name == _NAME else tuple(dict.fromkeys((own, _OF_THE_SYSTEM)))
