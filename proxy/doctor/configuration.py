"""The configuration: what `plexigate check` finds, and whether the running proxy serves by it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from config.loading.files import NamedFile, named_files
from config.loading.loaded import LoadedConfig
from config.values.problems import Problem
from proxy.api.status import StatusDocument
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.tls.openssl.libssl import InterpreterUnsuitable

_CONFIGURATION: Final = Judge("configuration")
_SERVED: Final = Judge("served configuration")
_RELOAD: Final = "plexigate reload --dry-run shows what changes; plexigate reload brings it into service."
# More than a reload may take by default (reload_timeout), less than all checks together.
_SECONDS: Final = 40.0

Check = Callable[[Path], Sequence[Problem]]
"""`plexigate check`: all problems of a file. Raises `InterpreterUnsuitable`."""


def configuration_checkups(check: Check) -> tuple[Checkup, ...]:
    """The checks of the configuration. `check` finds its problems."""

    def look(examined: Examined) -> Iterator[Finding]:
        yield from problem_findings(examined.loaded, check)

    return (
        Checkup("configuration", Area.CONFIGURATION, look, seconds=_SECONDS),
        Checkup("served configuration", Area.CONFIGURATION, _served),
    )


def problem_findings(configured: LoadedConfig, check: Check) -> Iterator[Finding]:
    """One finding for each problem; a warning of the check is a warning."""
    path = configured.file.path
    try:
        problems = check(path)
    except InterpreterUnsuitable as error:
        yield _CONFIGURATION.failure(str(path), error.found, f"{error.remedy}.")
        return
    for one in problems:
        subject = one.key or one.place
        if one.is_error:
            yield _CONFIGURATION.failure(subject, f"{one.found} ({one.place})", f"Allowed: {one.allowed}.")
        else:
            yield _CONFIGURATION.warning(subject, f"{one.found} ({one.place})", f"Better: {one.allowed}.")
    if not any(one.is_error for one in problems):
        yield _CONFIGURATION.ok(str(path), "it can be used")


def _served(examined: Examined) -> Iterator[Finding]:
    yield from served_findings(examined.loaded, examined.proxy.status)


def served_findings(configured: LoadedConfig, status: StatusDocument) -> Iterator[Finding]:
    """Judge whether the running proxy serves by the file as it is now."""
    served = status.get("configuration")
    if served is None:
        found = f"the running proxy is version {status['version']}, which does not report its configuration"
        yield _SERVED.unknown("the file", found)
        return
    path = configured.file.path
    read = datetime.fromtimestamp(served["read_at"], UTC)
    when = f"{read:%Y-%m-%d %H:%M:%S} UTC"
    if Path(served["file"]).resolve() != path.resolve():
        found = f"the running proxy serves by {served['file']}, read at {when}"
        yield _SERVED.warning(str(path), found, "Examine that file, or name the socket of the other proxy: --socket.")
        return
    if hashlib.sha256(path.read_bytes()).hexdigest() != served["sha256"]:
        yield _SERVED.warning(str(path), f"it was changed after the running proxy read it at {when}", _RELOAD)
    else:
        yield _SERVED.ok(str(path), f"the running proxy serves by this content, read at {when}")
    for file, changed in _changed(named_files(configured), read):
        found = f"{file.path} was changed at {changed:%Y-%m-%d %H:%M:%S} UTC, after the running proxy read it at {when}"
        yield _SERVED.warning(file.key, found, _RELOAD)


def _changed(files: Sequence[NamedFile], read: datetime) -> Iterator[tuple[NamedFile, datetime]]:
    for file in files:
        try:
            changed = datetime.fromtimestamp(file.path.stat().st_mtime, UTC)
        except OSError:
            continue  # told by the check of the file
        if changed > read:
            yield file, changed
