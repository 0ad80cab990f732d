"""What becomes of a change of edition: what it changes, why it is refused, what is reported."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from config.diff import Change, EffectKind, diff
from config.loading.files import files_of
from config.tables.plain import PLAIN_LISTENER
from config.values.problems import ConfigError, Location, Problem
from proxy.admin.requests.contracts import ReloadReport
from proxy.processes.channel import ChannelLost
from proxy.processes.messages.refusals import ConfigurationRefused, OtherVersion, QuestionRefused
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.workers.sockets import BindFailed

if TYPE_CHECKING:
    from proxy.api.commands import ChangeRow


class NotReady(ConfigError):
    """A worker has not prepared in time."""


def refusal(edition: Edition, error: BaseException) -> BaseException:
    """Translate an error of preparing into problems of the file. Others stay as they are."""
    file = edition.loaded.file.path
    match error:
        case QuestionRefused(reason=ConfigurationRefused(problems)):
            return ConfigError(problems)
        case QuestionRefused(reason=OtherVersion()):
            found = f"a worker of another version: {error}"
            allowed = "a restart of Plexigate"
        case QuestionRefused():
            found = f"a worker that failed: {error}"
            allowed = "a worker that starts"
        case ChannelLost():
            found = f"a worker that did not live until it was prepared: {error}"
            allowed = "live workers; a negative status is a signal, such as -9 of the out-of-memory killer"
        case TimeoutError():
            seconds = edition.loaded.config.reload_seconds
            found = f"a worker that was not ready after {seconds:g} s"
            allowed = "files and tokens that answer, or a longer reload_timeout"
            return NotReady([Problem(str(file), "", found, allowed)])
        case OSError():
            found = f"no room for another process: {error.strerror}"
            allowed = "fewer workers, or higher limits"
        case _:
            return error
    return ConfigError([Problem(str(file), "", found, allowed)])


def bind_problem(edition: Edition, error: BindFailed) -> Problem:
    """The problem of an address that cannot be bound."""
    index = list(edition.binds[error.listener]).index(error.bind)
    place: Location = ("listener", error.listener, "bind")
    if error.listener == PLAIN_LISTENER:
        place = ("plain", "bind")
    return edition.loaded.file.error((*place, index), error.found, error.allowed)


def changes_between(old: Edition, new: Edition) -> tuple[Change, ...]:
    """What a reload from one edition to another changes."""
    changed = {
        file.key: "new content"
        for file in files_of(new.loaded)
        if (path := str(file.path)) in old.material and _digest(old, path) != _digest(new, path)
    }
    return diff(old.loaded.config, new.loaded.config, changed)


def restart_problems(changes: Sequence[Change], edition: Edition) -> list[Problem]:
    """Changes that a running proxy cannot make."""
    return [
        edition.loaded.file.positions.located(
            Problem(
                str(edition.loaded.file.path),
                change.key,
                f"a change that needs a restart ({change.summary})",
                "a restart (systemctl restart plexigate), or the value before",
            )
        )
        for change in changes
        if change.kind is EffectKind.RESTART
    ]


def _digest(edition: Edition, path: str) -> bytes:
    one = edition.material.get(path)
    return b"" if one is None else hashlib.sha256(one.content).digest()


def report_of(served: Edition, changes: Sequence[Change], problems: Sequence[Problem], *, ok: bool) -> ReloadReport:
    """The outcome of a reload. `served` is the edition that serves after it."""
    shown = [cast("ChangeRow", change.as_json()) for change in changes]
    return ReloadReport(ok, shown, [problem.as_json() for problem in problems], served.number)
