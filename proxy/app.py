"""From a configuration file to a serving process, or to the list of what is wrong with it."""

# ruff: noqa: TID251 - the one place that reads the clock for those that take `now`

import asyncio
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvloop

from config.loaded import LoadedConfig
from config.loader import load, survey
from config.problems import ConfigError, Problem, shown
from config.schema import LogFormat
from proxy.generation import Generation, build, provider_module_path
from proxy.observe.log import Log
from proxy.observe.log_writer import LogWriter
from proxy.observe.startup import ready_event, ready_lines
from proxy.tls import libssl
from proxy.tls.capabilities import Capabilities, openssl_configuration
from proxy.tls.capabilities import survey as survey_openssl
from proxy.tls.tickets import TicketSecrets
from proxy.worker import Worker, listening_socket

Sockets = Mapping[str, list[socket.socket]]
# A log that takes longer than this is stuck, and the process has to end.
_LAST_LINES_SECONDS: Final = 2.0


def check(file: Path) -> tuple[Problem, ...]:
    """Everything that is wrong with a configuration, warnings included. Raises `libssl.InterpreterUnsuitable`."""
    found = survey(file)
    if found.loaded is None:
        return found.problems
    problems = [problem for problem in found.problems if problem.is_error]
    capabilities = prepare_openssl(found.loaded)
    try:
        problems += build(found.loaded, capabilities, TicketSecrets.fresh(), _now()).warnings
    except ConfigError as error:
        problems += error.problems
    return tuple(problems)


def run(file: Path, log_format: LogFormat | None) -> None:
    """Serve by a configuration until a signal ends it.

    Raises `ConfigError`, `libssl.InterpreterUnsuitable` or `worker.BindFailed` before anything is served.
    """
    try:
        loaded = load(file)
    except ConfigError:
        raise ConfigError(check(file)) from None  # whoever has to mend it wants to know the rest as well
    capabilities = prepare_openssl(loaded)

    def generation_with(tickets: TicketSecrets) -> Generation:
        return build(loaded, capabilities, tickets, _now())

    generation = generation_with(TicketSecrets.fresh())
    writer = _log_writer(loaded)
    sockets = {
        name: [listening_socket(name, bind) for bind in settings.bind]
        for name, settings in loaded.config.listener.items()
    }
    form = log_format or loaded.config.log.format
    uvloop.run(_serve(generation, generation_with, capabilities, sockets, writer, form))


def prepare_openssl(loaded: LoadedConfig) -> Capabilities:
    """Load the configured providers into this process's OpenSSL and see what is there.

    Raises `libssl.InterpreterUnsuitable`.
    """
    providers = loaded.config.openssl.providers
    # in memory: a locked-down service may have no place to write to
    descriptor = os.memfd_create("openssl.cnf")
    try:
        os.write(descriptor, openssl_configuration(providers, provider_module_path(loaded)).encode())
        libssl.load_configuration(Path(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)
    return survey_openssl(providers)


def _raise_descriptor_limit() -> None:
    """Take as many file descriptors as the system allows: the soft limit of a shell or a service is for programs that need few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _log_writer(loaded: LoadedConfig) -> LogWriter:
    settings, queue_lines = loaded.config.log, loaded.config.limits.log_queue_lines
    if settings.file is None:
        return LogWriter(sys.stdout.fileno(), queue_lines)
    try:
        return LogWriter(loaded.resolve(settings.file), queue_lines)
    except OSError as error:
        found = f"{shown(settings.file)}, which cannot be written: {error.strerror}"
        allowed = "a file that the user of this process may append to or make"
        raise ConfigError([loaded.error(("log", "file"), found, allowed)]) from error


async def _serve(
    generation: Generation,
    generation_with: Callable[[TicketSecrets], Generation],
    capabilities: Capabilities,
    sockets: Sockets,
    writer: LogWriter,
    form: LogFormat,
) -> None:
    log = Log(writer, form, has_colours=sys.stdout.isatty())
    worker = Worker(asyncio.get_running_loop(), generation, generation_with, log)
    _raise_descriptor_limit()
    worker.start(sockets)
    for warning in generation.warnings:
        log.event(time.time(), {"event": "warning", **warning.as_json()}, [str(warning)])
    report = worker.report()
    log.event(time.time(), ready_event(capabilities, report), ready_lines(capabilities, report))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, writer.reopen)  # for logrotate
    await worker.serve()
    writer.close(_LAST_LINES_SECONDS)


def _now() -> datetime:
    return datetime.now(UTC)
