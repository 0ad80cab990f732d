"""What checks of the doctor are given in tests: a configuration, a proxy that answers, a clock that stands."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.loading.loaded import LoadedConfig
from config.loading.loader import survey
from proxy.admin.client import AdminRefused
from proxy.doctor.checkup import AnsweringProxy, Checkup, Examined
from proxy.doctor.finding import Area, Finding

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOTHING = Examined(None, None, None, "no running proxy answers", lambda: NOON)


def checkup(name: str, *findings: Finding, area: Area = Area.MACHINE) -> Checkup:
    """A check that yields these findings."""
    return Checkup(name, area, lambda _: findings)


def answering(status: Any, answers: Mapping[str, dict[str, Any]] | None = None) -> AnsweringProxy:
    """A proxy with this status; it refuses each other question that has no answer."""

    def ask(path: str) -> Any:
        try:
            return (answers or {})[path]
        except KeyError:
            raise AdminRefused(404, f"there is no {path}") from None

    return AnsweringProxy(status, ask)


def configured(file: Path) -> LoadedConfig:
    """What can be read of a configuration."""
    loaded = survey(file).loaded
    assert loaded is not None
    return loaded


def states(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """The subject and the state of each finding."""
    return [(one.subject, str(one.state)) for one in findings]
