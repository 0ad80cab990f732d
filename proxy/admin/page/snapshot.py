"""The page for a browser without JavaScript: the state of the moment, as escaped HTML. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from proxy.api.overview import Overview

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "alerts": ("urgency", "kind", "subject", "since", "text", "remedy"),
    "certificates": ("identity", "credential", "expires", "urgency"),
    "upstreams": ("upstream", "server", "states", "requests", "failures"),
    "tokens": ("token", "condition", "detail"),
    "workers": ("slot", "pid", "state", "generation"),
}
_TITLES: Final = {"generation": "number of the configuration"}


def snapshot(found: Overview) -> str:
    """The state as HTML, to stand in `<noscript>`."""
    return "\n".join(_parts(found))


def _parts(found: Overview) -> Iterator[str]:
    proxy = found["proxy"]
    yield f"<h1>{escape(found['readiness']['sentence'])}</h1>"
    yield "<p>This page needs JavaScript for its plots, its history, and to stay up to date. This is the state"
    yield f"at {_time(proxy['now'])}; load the page again for a newer one. <code>plexigate status</code> shows more.</p>"
    yield f"<p>Plexigate {escape(proxy['version'])}, {escape(proxy['hot_path'])} code, started at"
    yield f"{_time(proxy['started_at'])}, configured at {_time(proxy['configured_at'])}.</p>"
    shown: Mapping[str, Sequence[Mapping[str, object]]] = {
        "alerts": found["alerts"]["rows"],
        "certificates": [{**row, "expires": _time(row["expires_at"])} for row in found["certificates"]["rows"]],
        "upstreams": found["upstreams"]["rows"],
        "tokens": found["tokens"]["rows"],
        "workers": found["workers"]["rows"],
    }
    for section, rows in shown.items():
        columns = _COLUMNS[section]
        cells = [[escape(_cell(row[column])) for column in columns] for row in rows]
        yield from _table(section.capitalize(), columns, cells)


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} in {count} workers" for name, count in value.items())
    return "" if value is None else str(value)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"<h2>{title}</h2>"
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    head = "".join(f'<th scope="col">{_TITLES.get(column, column)}</th>' for column in columns)
    yield f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else "<p>None.</p>"


def _time(seconds: float | None) -> str:
    return "-" if not seconds else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
