"""From a configuration file to a serving proxy: the parent process."""

# ruff: noqa: TID251 - the one place that reads the clock for those that take `now`

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvloop

from certs.storage.disk import Disk
from certs.storage.lock import StateInUse, StateLock
from config.problems import ConfigError
from config.schema import LogFormat
from proxy.admin.server import AdminServer
from proxy.admin.settings import AdminSettings
from proxy.supervisor.control import SupervisorControl
from proxy.supervisor.edition import Edition, read_edition
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.privileges import keep_memory_private, raise_descriptor_limit
from proxy.supervisor.sockets import ListeningSockets
from proxy.supervisor.supervisor import Supervisor
from proxy.systemd import Notifier, inherited_sockets, watchdog_seconds
from proxy.tls import libssl
from proxy.tls.tickets import TicketSecrets

# A log that takes longer than this is stuck, and the process has to end.
_LAST_LINES_SECONDS: Final = 2.0


def run(file: Path, log_format: LogFormat | None) -> None:
    """Serve by a configuration until a signal ends it.

    Raises `ConfigError`, `libssl.InterpreterUnsuitable` or `AdminSocketError` before anything is served.
    """
    libssl.self_check()
    try:
        edition = read_edition(file, 1, TicketSecrets.fresh(), _now())
    except ConfigError:
        # not above: it brings in everything that only workers need
        from proxy.checking import check

        raise ConfigError(check(file)) from None  # whoever has to mend it wants to know the rest as well
    target = LogTarget(edition.loaded, log_format)
    keep_memory_private()
    raise_descriptor_limit()
    try:
        uvloop.run(_supervise(edition, target))
    finally:
        target.close(_LAST_LINES_SECONDS)


async def _supervise(edition: Edition, target: LogTarget) -> None:
    # each takes its variables out of the environment, which workers inherit
    sockets = ListeningSockets(inherited_sockets(os.environ, os.getpid()))
    watchdog = watchdog_seconds(os.environ, os.getpid())
    notifier = Notifier.from_environment(os.environ)
    lock = _state_lock(edition)
    supervisor = Supervisor(asyncio.get_running_loop(), edition, sockets, target, notifier)
    control = SupervisorControl(supervisor)
    supervisor.rotating.count_by(control.signatures)
    admin = AdminServer(control, AdminSettings.of(edition.loaded), supervisor.unexpected)
    try:
        # first: a second proxy by the same configuration is found out before it takes a port
        await admin.start()
        await supervisor.start(admin.metrics_addresses)
        await supervisor.run(watchdog)
    finally:
        await admin.stop()
        await supervisor.close()
        if lock is not None:
            lock.release()


def _state_lock(edition: Edition) -> StateLock | None:
    """Nobody else may change the state directory while this process lives. Raises `ConfigError`."""
    loaded = edition.loaded
    state = loaded.config.rotation.state
    if state is None:
        return None
    directory = loaded.resolve(state)
    try:
        Disk().make_directory(directory)
        return StateLock.acquire(directory)
    except (StateInUse, OSError) as error:
        allowed = "a directory that this process alone writes to"
        raise ConfigError([loaded.error(("rotation", "state"), str(error), allowed)]) from None


def _now() -> datetime:
    return datetime.now(UTC)
