"""From a configuration file to a serving proxy: the parent process."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvloop

from certs.storage.disk import Disk
from certs.storage.lock import StateInUse, StateLock, StateUnusable, hold
from config.problems import ConfigError
from config.schema import LogFormat
from proxy.admin.server import AdminHost, AdminServer
from proxy.admin.settings import AdminSettings
from proxy.limits.machine import ProcessFigures
from proxy.limits.reserve import DescriptorReserve
from proxy.net.in_thread import in_thread
from proxy.observe.events.audit import AuditLogLate
from proxy.processes.privileges import keep_memory_private, raise_descriptor_limit
from proxy.processes.systemd import Notifier, SocketStore, inherited_sockets, watchdog_seconds
from proxy.supervisor.editions.edition import Edition, read_edition
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from proxy.supervisor.supervisor import Supervisor
from proxy.supervisor.workers.sockets import ListeningSockets
from proxy.tls import libssl
from proxy.tls.tickets import TicketSecrets

# A log that takes longer than this is stuck, and the process has to end.
_LAST_LINES_SECONDS: Final = 2.0
# A token that signs the last checkpoint has this long: what is before it is on the disk in any case.
_LAST_CHECKPOINT_SECONDS: Final = 5.0


def run(file: Path, log_format: LogFormat | None) -> None:
    """Serve by a configuration until a signal ends it.

    Raises `ConfigError`, `libssl.InterpreterUnsuitable` or `AdminSocketError` before anything is served.
    """
    libssl.self_check()
    safe = Safe(now_in_utc)
    try:
        edition = _with_tickets(read_edition(file, 1, TicketSecrets.fresh(), now_in_utc(), safe), safe)
    except ConfigError:
        # not above: it brings in everything that only workers need
        from proxy.commands.check import check

        raise ConfigError(check(file)) from None  # whoever has to mend it wants to know the rest as well
    safe.trail.open(edition.loaded)
    target = LogTarget(edition.loaded, log_format)
    keep_memory_private()
    raise_descriptor_limit()
    try:
        uvloop.run(_supervise(edition, target, safe))
    finally:
        target.close(_LAST_LINES_SECONDS)


def _with_tickets(edition: Edition, safe: Safe) -> Edition:
    """The edition with the secret of session tickets that the process before has kept."""
    tickets, doubts = safe.tickets(edition.loaded)
    return replace(edition, tickets=tickets, warnings=[*edition.warnings, *doubts])


async def _supervise(edition: Edition, target: LogTarget, safe: Safe) -> None:
    # each takes its variables out of the environment, which workers inherit
    notifier = Notifier.from_environment(os.environ)
    store = SocketStore.from_environment(os.environ, notifier)
    sockets = ListeningSockets(inherited_sockets(os.environ, os.getpid()), store)
    watchdog = watchdog_seconds(os.environ, os.getpid())
    loop = asyncio.get_running_loop()
    lock = _state_lock(edition)
    supervisor = Supervisor(loop, edition, sockets, target, notifier, safe)
    figures = ProcessFigures()
    reserve = DescriptorReserve(figures, lambda: supervisor.served.edition.worker_count)
    supervisor.check_servers_unless(reserve.why_not_check)
    reporting = supervisor.reporting
    host = AdminHost(reporting.unexpected, reporting.tell, reserve.is_short)
    admin = AdminServer(supervisor.control, AdminSettings.of(edition.loaded), host)
    try:
        # first: a second proxy by the same configuration is found out before it takes a port
        await admin.start()
        await supervisor.start(admin.metrics_addresses)
        await supervisor.run(watchdog)
    finally:
        await admin.stop()
        await supervisor.close()
        figures.close()
        if not await in_thread(loop, lambda: safe.trail.close(_LAST_CHECKPOINT_SECONDS)):
            reporting.tell(AuditLogLate())
        await asyncio.sleep(0)  # what its thread had to report
        if lock is not None:
            lock.release()


def _state_lock(edition: Edition) -> StateLock | None:
    """Nobody else may change the state directory while this process lives. Raises `ConfigError`."""
    loaded = edition.loaded
    state = loaded.config.rotation.state
    if state is None:
        return None
    try:
        return hold(loaded.file.resolve(state), Disk())
    except StateInUse as error:
        found, allowed = str(error), "a directory that this process alone writes to"
    except StateUnusable as error:
        found, allowed = error.found, error.allowed
    raise ConfigError([loaded.file.error(("rotation", "state"), found, allowed)])
