"""One check of the doctor, and what all checks are given to look at. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from typing import Any

from config.loaded import LoadedConfig
from proxy.doctor.finding import Area, Finding, State


@dataclass(frozen=True, slots=True)
class AnsweringProxy:
    """A running proxy, by its admin socket.

    `status` is its answer to `GET /status`. `ask` is `GET` of another path: it returns the JSON of
    the answer, and raises `AdminUnreachable` or `AdminRefused` of `proxy.admin.client`.
    """

    status: Mapping[str, Any]
    ask: Callable[[str], dict[str, Any]]


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


class Needed(Enum):
    """What a check cannot do without."""

    CONFIGURATION = auto()
    RUNNING_PROXY = auto()


@dataclass(frozen=True, slots=True)
class Checkup:
    """One check.

    `look` yields its findings, and may block: it runs in a thread of its own. What it has yielded
    until its deadline counts. It changes nothing.
    """

    name: str
    area: Area
    look: Callable[[Examined], Iterable[Finding]]
    needs: frozenset[Needed] = frozenset()
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
