"""The deprecated names of durations, which had the unit in the name and a number as value. Pure.

They are accepted with a warning for one version.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from config.values.durations import written
from config.values.problems import Location, Problem, Severity, toml_key

_SECOND: Final = timedelta(seconds=1)
_HOUR: Final = timedelta(hours=1)

_OF_LISTENERS: Final = {
    "handshake_seconds": "handshake_timeout",
    "tcp_idle_seconds": "tcp_idle_timeout",
    "tcp_half_closed_seconds": "tcp_half_closed_timeout",
}

# By the location of a table (any name or index is "*"): what each key is called now.
FORMER_TIMES: Final[Mapping[tuple[str, ...], Mapping[str, str]]] = {
    (): {"reload_seconds": "reload_timeout"},
    ("listener", "*", "limits"): _OF_LISTENERS,
    ("limits",): {
        **_OF_LISTENERS,
        "tls_ticket_rotation_hours": "rotate_tls_ticket_key_after",
        "keep_alive_seconds": "keep_alive_timeout",
        "write_idle_seconds": "write_idle_timeout",
        "linger_seconds": "linger_timeout",
        "drain_seconds": "drain_timeout",
        "head_seconds": "head_timeout",
        "body_idle_seconds": "body_idle_timeout",
        "http2_settings_seconds": "http2_settings_timeout",
        "websocket_idle_seconds": "websocket_idle_timeout",
        "websocket_close_seconds": "websocket_close_timeout",
    },
    ("issuer", "*"): {"hook_seconds": "hook_timeout"},
    ("rotation",): {"issue_seconds": "issue_timeout"},
    ("upstream", "*"): {
        "slow_start_seconds": "slow_start",
        "connect_seconds": "connect_timeout",
        "first_byte_seconds": "first_byte_timeout",
        "stall_seconds": "stall_timeout",
        "idle_seconds": "idle_timeout",
        "wait_seconds": "wait_timeout",
    },
    ("upstream", "*", "health"): {"interval_seconds": "interval", "timeout_seconds": "timeout"},
    ("upstream", "*", "ejection"): {
        "errors_seconds": "errors_within",
        "base_seconds": "base_time",
        "max_seconds": "max_time",
    },
    ("upstream", "*", "cookie"): {"seconds": "max_age"},
    ("route", "*", "auth"): {"seconds": "timeout"},
    ("audit",): {"totals_seconds": "totals_interval"},
    ("payload",): {"max_age_seconds": "max_age", "skew_seconds": "clock_skew"},
    ("payload", "ring", "*"): {"rotate_hours": "rotate_after"},
    ("payload", "sessions"): {"rotate_hours": "rotate_after", "lifetime_hours": "lifetime"},
}


@dataclass(slots=True)
class FormerTimes:
    """The previous keys of one file."""

    in_file: dict[str, str] = field(default_factory=dict)
    """The key as it is called now -> the previous one, which stands in the file."""
    problems: list[Problem] = field(default_factory=list)
    """An error for a previous key beside its new one, and a warning for each other."""


def renew(document: dict[str, Any], file: str) -> FormerTimes:
    """Give the previous keys of a document their new names, and their numbers a unit."""
    found = FormerTimes()
    for pattern, names in FORMER_TIMES.items():
        for place, table in _tables(document, pattern):
            for former in [name for name in names if name in table]:
                key = toml_key((*place, former))
                new = names[former]
                value = _with_unit(table.pop(former), _HOUR if former.endswith("_hours") else _SECOND)
                if new in table:
                    allowed = f"only {new}: it has replaced this key"
                    found.problems.append(Problem(file, key, f"this key together with {new}", allowed))
                    continue
                table[new] = value
                found.in_file[toml_key((*place, new))] = key
                better = f'{new} = "{value}"'
                found.problems.append(Problem(file, key, "the deprecated name of a key", better, Severity.WARNING))
    return found


def _tables(found: object, pattern: tuple[str, ...], place: Location = ()) -> Iterator[tuple[Location, dict[str, Any]]]:
    """All tables at the locations of a pattern."""
    if not pattern:
        if isinstance(found, dict):
            yield place, found
        return
    first, *rest = pattern
    entries: Iterator[tuple[str | int, object]] | Any = (
        found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    )
    for name, entry in entries:
        if first in ("*", name):
            yield from _tables(entry, tuple(rest), (*place, name))


def _with_unit(value: object, unit: timedelta) -> object:
    """A number of a previous key as text; all else, which is none, as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        return value
    try:
        return written(unit * value)
    except OverflowError:
        return value
