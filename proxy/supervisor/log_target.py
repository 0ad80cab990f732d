"""Where the log of all processes goes.

The parent opens it and passes it to the workers: it may write where workers may not.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certs.files.directory import open_log
from config.loading.loaded import ConfigFile
from config.schema import LogConfig, LogFormat
from config.values.problems import ConfigError, shown
from proxy.observe.logs.log import Log
from proxy.observe.logs.log_writer import LogWriter
from proxy.processes.messages.questions import LogSettings

_STDOUT: Final = 1


class LogTarget:
    """An open file or standard output, and the parent's own log on it."""

    def __init__(self, file: ConfigFile, log: LogConfig, queue_lines: int, form: LogFormat | None) -> None:
        """`form` is of the command line and overrides the configuration.

        Raises `ConfigError` for a file that cannot be written.
        """
        self._form_of_command: Final = form
        self._has_colours: Final = sys.stdout.isatty()
        self._queue_lines = queue_lines
        self._path = _path(file, log)
        self._form = form or log.format
        self.descriptor = _open(file, log, self._path)
        """For new workers. It stays open here."""
        self._failed_to_reopen = 0
        writer = LogWriter(os.dup(self.descriptor), self._queue_lines)
        self.log = Log(writer, self._form, has_colours=self._has_colours)

    @property
    def settings(self) -> LogSettings:
        """What a worker must know beside the descriptor."""
        return LogSettings(self._form, self._has_colours, self._queue_lines)

    def prepare(self, file: ConfigFile, log: LogConfig) -> "NextPlace":
        """Open the log of another configuration, without using it yet. Raises `ConfigError`."""
        path = _path(file, log)
        form = self._form_of_command or log.format
        return NextPlace(path, form, None if path == self._path else _open(file, log, path))

    def use(self, place: "NextPlace") -> bool:
        """Write to `place` from now on. Tells whether the place or the form has changed."""
        if place.descriptor is None and place.form == self._form:
            return False
        self._path = place.path
        self._use(os.dup(self.descriptor) if place.descriptor is None else place.descriptor, place.form)
        place.descriptor = None
        return True

    def reopen(self) -> None:
        """Open the log file again by its name, because the old file was renamed.

        Raises `OSError`. The old file then stays in use.
        """
        if self._path is None:
            return
        try:
            descriptor = open_log(self._path)
        except OSError:
            self._failed_to_reopen += 1
            raise
        self._use(descriptor, self._form)

    def losses(self) -> tuple[int, int]:
        """How many lines of this process were lost, and how many writes and reopens failed."""
        lost, errors = self.log.losses()
        return lost, errors + self._failed_to_reopen

    def close(self, seconds: float) -> None:
        """Write the queue, for `seconds` at most, and end."""
        self.log.close(seconds)
        os.close(self.descriptor)

    def _use(self, descriptor: int, form: LogFormat) -> None:
        os.close(self.descriptor)
        self.descriptor = descriptor
        self._form = form
        self.log.switch(os.dup(descriptor), form)


@dataclass(slots=True)
class NextPlace:
    """Where the log of another configuration goes.

    `descriptor` is None if the place is the same as before, or if it has come into use.
    """

    path: Path | None
    form: LogFormat
    descriptor: int | None

    def close(self) -> None:
        """Close the descriptor, unless it has come into use."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def _path(file: ConfigFile, log: LogConfig) -> Path | None:
    return None if log.file is None else file.resolve(log.file)


def _open(file: ConfigFile, log: LogConfig, path: Path | None) -> int:
    if path is None:
        return os.dup(_STDOUT)
    try:
        return open_log(path)
    except OSError as error:
        found = f"{shown(log.file)}, which cannot be written: {error.strerror}"
        allowed = "a file that the user who starts the proxy may append to or make"
        raise ConfigError([file.error(("log", "file"), found, allowed)]) from error
