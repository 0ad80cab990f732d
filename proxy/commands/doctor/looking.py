"""Finds what `plexigate doctor` examines: the configuration and the running proxy."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from config.loading.loaded import LoadedConfig
from config.loading.loader import survey
from config.values.problems import ConfigError
from proxy.admin.client import AdminAbsent, AdminRefused, AdminSilent, AdminUnreachable, UnixAdminClient, connect
from proxy.doctor.checkup import AnsweringProxy, Examined
from proxy.doctor.finding import State

_SECONDS: Final = 10.0
"""For an answer on the admin socket: a proxy that is silent leaves time for the other checks."""


def examined(file: Path | None, socket: Path | None, now: Callable[[], datetime]) -> Examined:
    """Read the configuration and find the running proxy.

    Without a file, this is the one that the running proxy serves by, if this user can read it.
    Raises `ConfigError` for a file that was named and cannot be read, or is not TOML.
    """
    configured = None if file is None else configuration(file)
    client = connect(file, socket)
    state = State.WARNING
    try:
        running = _answering(client)
        absence = ""
    except (AdminUnreachable, AdminRefused) as error:
        running = None
        absence = f"no running proxy answers: {error}"
        state = _weight(error)
    if running is not None and configured is None:
        file, configured = _served(running)
    return Examined(file, configured, running, absence, now, state)


def _weight(error: AdminUnreachable | AdminRefused) -> State:
    if isinstance(error, AdminAbsent):
        return State.WARNING
    return State.FAILURE if isinstance(error, AdminSilent) else State.UNKNOWN


def _served(running: AnsweringProxy) -> tuple[Path | None, LoadedConfig | None]:
    told = running.status.get("configuration")
    file = None if told is None else Path(told["file"])
    if file is None or not file.is_absolute():
        return None, None  # relative to a directory that is not known here
    try:
        return file, configuration(file)
    except ConfigError:
        return None, None


def configuration(file: Path) -> LoadedConfig:
    """Read what can be read of a configuration. Raises `ConfigError` if it is no TOML."""
    found = survey(file)
    if found.loaded is None:
        raise ConfigError(found.problems)
    return found.loaded


def _answering(client: UnixAdminClient) -> AnsweringProxy:
    def ask(path: str) -> Any:
        return client.agreed(client.get(path, _SECONDS))

    return AnsweringProxy(ask("/status"), ask)
