"""One check of the doctor, and what all checks are given to look at. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from config.loading.loaded import LoadedConfig
from proxy.api.status import StatusDocument
from proxy.doctor.finding import Area, Finding, State

_FILE_REMEDY: Final = "Name it: plexigate doctor FILE."
_PROXY_REMEDY: Final = "Start it (systemctl start plexigate, or plexigate run FILE), then run plexigate doctor again."


@dataclass(frozen=True, slots=True)
class AnsweringProxy:
    """A running proxy, by its admin socket.

    `status` is its answer to `GET /status`. `ask` is `GET` of another path: it returns the JSON of
    the answer, and raises `AdminUnreachable` or `AdminRefused` of `proxy.admin.client`.
    """

    status: StatusDocument
    ask: Callable[[str], Any]


class Lacking(Exception):
    """There is not what a check needs. `remedy` says what to do about what was `found`."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found, remedy)
        self.found = found
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Examined:
    """What the checks look at.

    `file` is the configuration that was named. `configured` is what could be read of it, None
    without a file. `running` is None when no proxy answers; `absence` then says why. `now` is the
    time in UTC. `absence_state` is how bad that is: `WARNING` if nothing listens on the admin
    socket, `UNKNOWN` if this user may not ask, `FAILURE` if a proxy is there and does not answer.
    """

    file: Path | None
    configured: LoadedConfig | None
    running: AnsweringProxy | None
    absence: str
    now: Callable[[], datetime]
    absence_state: State = State.WARNING

    @property
    def loaded(self) -> LoadedConfig:
        """The configuration. Raises `Lacking`."""
        if self.configured is None:
            raise Lacking("no configuration was named", _FILE_REMEDY)
        return self.configured

    @property
    def proxy(self) -> AnsweringProxy:
        """The running proxy. Raises `Lacking`."""
        if self.running is None:
            raise Lacking(self.absence, _PROXY_REMEDY)
        return self.running

    @property
    def status(self) -> StatusDocument | None:
        """The status of the running proxy. None when no proxy answers."""
        return None if self.running is None else self.running.status


@dataclass(frozen=True, slots=True)
class Checkup:
    """One check.

    `look` yields its findings, and may block: it runs in a thread of its own. What it has yielded
    until its deadline counts. It changes nothing. It takes what it cannot do without from
    `Examined.loaded` and `Examined.proxy` before it yields: without that the check is skipped.
    """

    name: str
    area: Area
    look: Callable[[Examined], Iterable[Finding]]
    seconds: float = 10.0
    """The deadline, from its start."""
    is_alone: bool = False
    """Whether it measures time, and so runs after all others, with no other beside it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one check has found, and how long it took."""

    checkup: Checkup
    findings: tuple[Finding, ...]
    seconds: float
