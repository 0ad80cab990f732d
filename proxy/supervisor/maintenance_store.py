"""The routes in maintenance on disk: they stay out of service when the proxy starts again."""

import json
from pathlib import Path
from typing import Final

from certs.files.atomic_file import write_state
from certs.files.directory import make_directories
from config.loading.loaded import LoadedConfig
from proxy.observe.state_file import state_file
from proxy.processes.messages.codec import MessageMalformed, decode, encode
from proxy.processes.messages.questions import MaintainedRoute, ShowMaintenance
from proxy.routes.error_pages import PageUnusable

_VERSION: Final = 1


class MaintenanceUnreadable(Exception):
    """The file is there and cannot be used. `found` says why."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found


class MaintenanceStore:
    """One file, with mode 0600."""

    def __init__(self, path: Path) -> None:
        """The file and its directory need not be there."""
        self.path: Final = path

    @classmethod
    def of(cls, loaded: LoadedConfig, stem: str = "maintenance") -> "MaintenanceStore":
        """The file of that name of the proxy that runs by this configuration."""
        return cls(state_file(loaded, stem))

    def read(self) -> tuple[MaintainedRoute, ...]:
        """What `write` kept; empty if there is no file. Raises `MaintenanceUnreadable`."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise MaintenanceUnreadable(self.path, error.strerror or "an error") from None
        try:
            document = json.loads(content)
            version = document.pop("version")
            if version != _VERSION:
                raise MaintenanceUnreadable(self.path, "the content of another version")
            routes = decode(ShowMaintenance, document).routes
            for one in routes:
                one.require_usable()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MessageMalformed, PageUnusable):
            raise MaintenanceUnreadable(self.path, "other content than this proxy writes") from None
        return routes

    def write(self, routes: tuple[MaintainedRoute, ...]) -> None:
        """Keep these, also over a crash. May take long. Raises `OSError`; the file is as it was."""
        make_directories(self.path.parent)
        document = {"version": _VERSION, **encode(ShowMaintenance(routes))}
        write_state(self.path, json.dumps(document, indent=2).encode() + b"\n")
