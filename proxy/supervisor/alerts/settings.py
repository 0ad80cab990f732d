"""What `[alerts]` and the previous keys of `[rotation]` say, and whether the program can be run."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certs.files.root_only import ROOT_ONLY, OthersCanChange, judge_program
from certs.hierarchy.configured import directory_of
from certs.hsm.access import state_directory
from config.loading.loaded import LoadedConfig
from config.values.problems import Problem, shown
from config.values.webhook import Webhook
from proxy.observe.alert_kinds import AlertUrgency
from proxy.supervisor.alerts.open_alerts import AlertPatience

_MEMORY: Final = "alerts.json"


@dataclass(frozen=True, slots=True)
class ExpectedBackups:
    """Where backups of which configuration should be, and at which age in seconds the newest is
    too old.
    """

    directory: Path
    configuration: Path
    alert_after: float


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What one configuration says. `memory` is the file of the open alerts, None without one.

    `directories` are those that the parent writes to while it runs.
    """

    command: tuple[str, ...]
    webhook: Webhook | None
    patience: AlertPatience
    certificate_left: float
    memory: Path | None
    directories: tuple[Path, ...]
    backups: ExpectedBackups | None = None

    @classmethod
    def of(cls, loaded: LoadedConfig) -> "AlertSettings":
        config = loaded.config
        file = loaded.file
        alerts = config.alerts
        repeat = config.alerts.repeat
        state = None if config.rotation.state is None else file.resolve(config.rotation.state)
        payload = None if config.payload.directory is None else file.resolve(config.payload.directory)
        sealing = None if config.sealing.key is None else directory_of(file, config.sealing)
        latches = None if config.hsm is None else state_directory()
        return cls(
            command=alerts.command,
            webhook=alerts.webhook,
            patience=AlertPatience(
                {
                    AlertUrgency.CRITICAL: repeat.critical.total_seconds(),
                    AlertUrgency.SERIOUS: repeat.serious.total_seconds(),
                    AlertUrgency.WARNING: repeat.warning.total_seconds(),
                },
                alerts.resolve_after.total_seconds(),
            ),
            certificate_left=alerts.certificate_left.total_seconds(),
            memory=None if state is None else state / _MEMORY,
            directories=tuple(dict.fromkeys(one for one in (state, sealing, latches, payload) if one is not None)),
            backups=None
            if config.backup.directory is None
            else ExpectedBackups(
                file.resolve(config.backup.directory), file.path, config.backup.alert_after.total_seconds()
            ),
        )


def program_problems(loaded: LoadedConfig) -> Iterator[Problem]:
    """A warning for a program that cannot be run: the proxy serves without it.

    An error for one that root would run and another user can change.
    """
    command = loaded.config.alerts.command
    if not command:
        return
    place = ("alerts", "command", 0)
    program = None if "\0" in command[0] else shutil.which(command[0])
    if program is None:
        found = f"{shown(command[0])}, which is not a program that this user can run"
        better = "the path of a program, or the name of a program in PATH: alerts do not arrive without it"
        yield loaded.file.warning(place, found, better)
    elif (fault := _fault_under_root(Path(program))) is not None:
        yield loaded.file.error(place, f"{shown(command[0])}, which root would run: {fault}", ROOT_ONLY)


def _fault_under_root(program: Path) -> str | None:
    """Who else than root can change a program, if this process is root."""
    try:
        if os.geteuid() == 0:
            judge_program(program.absolute())
    except OthersCanChange as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None
