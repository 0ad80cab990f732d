"""`plexigate run`: starts the parent process of the proxy."""

import asyncio
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import uvloop

from config.schema import LogFormat
from config.values.problems import ConfigError
from proxy.admin.listening import AdminSocketError
from proxy.admin.server import AdminHost, AdminServer
from proxy.admin.settings import AdminSettings
from proxy.limits.machine import ProcessFigures
from proxy.limits.reserve import DescriptorReserve
from proxy.net.in_thread import in_thread
from proxy.observe.events.audit import AuditLogLate
from proxy.processes.privileges import keep_memory_private, raise_descriptor_limit
from proxy.processes.systemd import InheritedSocketUnusable, Notifier, SocketStore, inherited_sockets, watchdog_seconds
from proxy.processes.upgrade_wire import WireBroken
from proxy.supervisor.editions.edition import Edition, read_edition
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from proxy.supervisor.supervisor import Supervisor
from proxy.supervisor.upgrade.handover import Handed, HandedState, HandoverUnreadable
from proxy.supervisor.upgrade.predecessor import GivenBack, Predecessor
from proxy.supervisor.upgrade.program import StartCommand
from proxy.supervisor.upgrade.replaceable import this_process
from proxy.supervisor.upgrade.takeover import UpgradeTakeover
from proxy.supervisor.workers.sockets import ListeningSockets
from proxy.tls.openssl import libssl
from proxy.tls.openssl.tickets import TicketSecrets

# a log that is not written within this time is stuck, and the process has to end
_LAST_LINES_SECONDS: Final = 2.0
# time for a token to sign the last checkpoint; the entries before it are on disk in any case
_LAST_CHECKPOINT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Succession:
    """The start of the new process in an upgrade."""

    predecessor: Predecessor
    state: HandedState
    handed: Handed


def run(file: Path, log_format: LogFormat | None) -> None:
    """Serve with a configuration until a signal ends the process.

    If `plexigate upgrade` has started this process, it takes the place of the older one, or ends
    and tells that one why. Raises `ConfigError`, `libssl.InterpreterUnsuitable` or
    `AdminSocketError` before it starts to serve.
    """
    start = StartCommand.of_this_process(os.environ)
    predecessor = Predecessor.from_environment(os.environ)
    if predecessor is None:
        _serve(file, log_format, start, None)
        return
    # Ctrl-C is for the older process, and a reload is left to this one when it may do it.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    try:
        state, handed = predecessor.greet()
        start = replace(start, program=state.program, environment=state.environment)
        _serve(file, log_format, start, _Succession(predecessor, state, handed))
    except (GivenBack, WireBroken):
        return  # the older process continues, and has logged why
    except ConfigError as error:
        predecessor.refuse("the configuration cannot be used by the new program", error.problems)
        raise
    except (libssl.InterpreterUnsuitable, AdminSocketError, InheritedSocketUnusable, HandoverUnreadable) as error:
        predecessor.refuse(str(error))
        raise


def _serve(file: Path, log_format: LogFormat | None, start: StartCommand, succession: _Succession | None) -> None:
    libssl.self_check()
    safe = Safe(now_in_utc)
    if succession is not None:
        safe.locks.take_over(succession.handed.state_locks())
    try:
        edition = _with_tickets(read_edition(file, 1, TicketSecrets.fresh(), now_in_utc(), safe), safe, succession)
    except ConfigError as error:
        # imported here: it loads everything that only workers need
        from proxy.commands.check import check

        found = check(file)  # reports all problems, not only the first
        # a check accepts a proxy that runs by this configuration already, and a start does not
        raise ConfigError(found if any(one.is_error for one in found) else error.problems) from None
    if succession is not None:
        succession.predecessor.step("configured")
    safe.trail.open(edition.loaded.file, edition.loaded.config.audit, edition.loaded.config.hsm)
    target = LogTarget(
        edition.loaded.file, edition.loaded.config.log, edition.loaded.config.limits.log_queue_lines, log_format
    )
    keep_memory_private()
    raise_descriptor_limit()
    try:
        uvloop.run(_supervise(edition, target, safe, start, succession))
    finally:
        target.close(_LAST_LINES_SECONDS)


def _with_tickets(edition: Edition, safe: Safe, succession: _Succession | None) -> Edition:
    """The edition with the ticket secrets that the previous process stored or hands over."""
    if succession is not None:
        record = succession.state.tickets
        safe.since = record.since
        return replace(edition, tickets=record.secrets)
    tickets, doubts = safe.tickets(edition.loaded)
    return replace(edition, tickets=tickets, warnings=[*edition.warnings, *doubts])


async def _supervise(
    edition: Edition, target: LogTarget, safe: Safe, start: StartCommand, succession: _Succession | None
) -> None:
    # each removes its variables from the environment, because workers inherit it
    notifier = Notifier.from_environment(os.environ)
    store = SocketStore.from_environment(os.environ, notifier)
    inherited = inherited_sockets(os.environ, os.getpid())
    watchdog = watchdog_seconds(os.environ, os.getpid())
    loop = asyncio.get_running_loop()
    if succession is not None:
        notifier.is_silent = True  # until the older process has left
        # Workers inherit it. What failed before is in the report of the older process.
        succession.handed.report_to_standard_error()
        inherited += succession.handed.listening()
    sockets = ListeningSockets(inherited, store)
    sockets.is_shared = succession is not None
    supervisor = Supervisor(loop, edition, sockets, target, notifier, safe)
    if succession is not None:
        supervisor.crew.servers.verdicts.adopt(succession.state.verdicts)
        supervisor.http3.adopt(succession.state.http3)
    figures = ProcessFigures()
    reserve = DescriptorReserve(figures, lambda: supervisor.served.edition.worker_count)
    supervisor.check_servers_unless(reserve.why_not_check)
    reporting = supervisor.reporting
    account = edition.account
    worker_user = None if account is None else account.user
    host = AdminHost(reporting.unexpected, reporting.tell, reserve.is_short, worker_user)
    admin = AdminServer(supervisor.control, AdminSettings.of(edition.loaded.file, edition.loaded.config.admin), host)
    takeover = None
    if succession is not None:
        takeover = UpgradeTakeover(
            succession.predecessor,
            succession.handed,
            admin,
            supervisor.upgrading,
            supervisor.crew,
            supervisor.stopping,
            notifier,
            supervisor.memory,
            reporting.tell,
        )
    try:
        if takeover is None:
            # first: a second proxy with the same configuration fails here, before it takes a port
            await admin.start()
        await supervisor.start(lambda: admin.metrics_addresses, takeover)
        supervisor.upgrading.enable(this_process(start, admin, lambda: safe.locks.held))
        await supervisor.run(watchdog)
    except GivenBack:
        await supervisor.give_back()
        raise
    finally:
        await admin.stop()
        await supervisor.close()
        figures.close()
        if not await in_thread(loop, lambda: safe.trail.close(_LAST_CHECKPOINT_SECONDS)):
            reporting.tell(AuditLogLate())
        await asyncio.sleep(0)  # lets callbacks of its thread run
        safe.locks.release()
