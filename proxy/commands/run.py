"""`plexigate run`: starts the parent process of the proxy."""

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

# a log that is not written within this time is stuck, and the process has to end
_LAST_LINES_SECONDS: Final = 2.0
# time for a token to sign the last checkpoint; the entries before it are on disk in any case
_LAST_CHECKPOINT_SECONDS: Final = 5.0


def run(file: Path, log_format: LogFormat | None) -> None:
    """Serve with a configuration until a signal ends the process.

    Raises `ConfigError`, `libssl.InterpreterUnsuitable` or `AdminSocketError`
    before it starts to serve.
    """
    libssl.self_check()
    safe = Safe(now_in_utc)
    try:
        edition = _with_tickets(read_edition(file, 1, TicketSecrets.fresh(), now_in_utc(), safe), safe)
    except ConfigError:
        # imported here: it loads everything that only workers need
        from proxy.commands.check import check

        raise ConfigError(check(file)) from None  # reports all problems, not only the first
    safe.trail.open(edition.loaded.file, edition.loaded.config.audit, edition.loaded.config.hsm)
    target = LogTarget(
        edition.loaded.file, edition.loaded.config.log, edition.loaded.config.limits.log_queue_lines, log_format
    )
    keep_memory_private()
    raise_descriptor_limit()
    try:
        uvloop.run(_supervise(edition, target, safe))
    finally:
        target.close(_LAST_LINES_SECONDS)


def _with_tickets(edition: Edition, safe: Safe) -> Edition:
    """The edition with the session ticket secrets that the former process stored."""
    tickets, doubts = safe.tickets(edition.loaded)
    return replace(edition, tickets=tickets, warnings=[*edition.warnings, *doubts])


async def _supervise(edition: Edition, target: LogTarget, safe: Safe) -> None:
    # each removes its variables from the environment, because workers inherit it
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
    account = edition.account
    worker_user = None if account is None else account.user
    host = AdminHost(reporting.unexpected, reporting.tell, reserve.is_short, worker_user)
    admin = AdminServer(supervisor.control, AdminSettings.of(edition.loaded.file, edition.loaded.config.admin), host)
    try:
        # first: a second proxy with the same configuration fails here, before it takes a port
        await admin.start()
        await supervisor.start(admin.metrics_addresses)
        await supervisor.run(watchdog)
    finally:
        await admin.stop()
        await supervisor.close()
        figures.close()
        if not await in_thread(loop, lambda: safe.trail.close(_LAST_CHECKPOINT_SECONDS)):
            reporting.tell(AuditLogLate())
        await asyncio.sleep(0)  # lets callbacks of its thread run
        if lock is not None:
            lock.release()


def _state_lock(edition: Edition) -> StateLock | None:
    """Lock the state directory: only this process may change it while it runs.

    Raises `ConfigError`.
    """
    loaded = edition.loaded
    state = loaded.config.rotation.state
    if state is None:
        return None
    try:
        return hold(loaded.file.resolve(state), Disk())
    except StateInUse as error:
        found, allowed = str(error), "a directory that no other process uses"
    except StateUnusable as error:
        found, allowed = error.found, error.allowed
    raise ConfigError([loaded.file.error(("rotation", "state"), found, allowed)])
