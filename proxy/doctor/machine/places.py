"""The files and directories that a configuration names or implies, and what each one is for."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

from certs.hsm.access import state_directory
from config.loading.files import named_files
from config.loading.loaded import LoadedConfig
from proxy.admin.settings import AdminSettings


class Content(Enum):
    """What a file has in it, which says who may read and change it."""

    CONFIGURATION = auto()
    PUBLIC = auto()
    """Certificates, pages: anybody may read them."""
    SECRET = auto()
    """Keys, PINs, hashes of passwords."""
    STATE = auto()
    """What the proxy keeps: keys, accounts, records."""
    LOG = auto()
    SOCKET = auto()


# The last words of the keys that name files with secrets; the rest of a list index is cut off.
_SECRET_KEYS: Final = frozenset(
    {"key", "pin_file", "secret", "eab_key_file", "root_key", "checkpoint_key", "password_file"}
)
_AUTH_USERS: Final = ".auth.file"


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """A file or directory: the `key` that names it, or what it is where no key does."""

    key: str
    path: Path
    content: Content
    is_written: bool = False
    """Whether the proxy writes there, and may make it."""


def places_of(loaded: LoadedConfig) -> Iterator[NamedPlace]:
    """Every place, the configuration first."""
    config = loaded.config
    file = loaded.file
    yield NamedPlace("the configuration", file.path, Content.CONFIGURATION)
    for named in named_files(loaded):
        yield NamedPlace(named.key, named.path, _content(named.key))
    written = {
        "rotation.state": (config.rotation.state, Content.STATE),
        "sealing.directory": (config.sealing.directory, Content.STATE),
        "payload.directory": (config.payload.directory, Content.STATE),
        "log.file": (config.log.file, Content.LOG),
        "audit.file": (config.audit.file, Content.LOG),
    }
    for key, (path, content) in written.items():
        if path is not None:
            yield NamedPlace(key, file.resolve(path), content, is_written=True)
    yield NamedPlace("the state directory", state_directory(), Content.STATE, is_written=True)
    yield NamedPlace("the admin socket", AdminSettings.of(file, config.admin).socket, Content.SOCKET, is_written=True)


def _content(key: str) -> Content:
    is_secret = key.rpartition(".")[2].partition("[")[0] in _SECRET_KEYS or key.endswith(_AUTH_USERS)
    return Content.SECRET if is_secret else Content.PUBLIC
