"""Certificates for a terminal."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from certs.rotation.history import VersionRow
from proxy.api.certificates import CertificateRow, RotationLine
from proxy.commands.terminal.tables import FittingTable, unwrapped

_STYLES: Final = {"calm": "", "due": "", "late": "yellow", "grave": "bold red", "expired": "bold red"}
_SHOWN_SERIAL: Final = 12
_MINUTE = 60
_HOUR = 3_600
_DAY = 86_400


def listing_table(certificates: Sequence[CertificateRow]) -> RenderableType:
    """`plexigate certs list`."""
    if not certificates:
        return Text("no certificate rotates automatically: no [[identity.NAME.credential]] has an issuer")
    table = unwrapped(
        *("name", "credential", "issuer", "key", "lives in", "serial", "until", "left", "next try"),
        Column("why", overflow="fold"),
    )
    for one in certificates:
        planned = one["next"]
        style = _STYLES.get("" if planned is None else planned["urgency"], "")
        table.add_row(
            one["identity"],
            one["credential"],
            one["issuer"],
            one["key"]["algorithm"],
            one["key"]["place"],
            (one["serial"] or "-")[:_SHOWN_SERIAL],
            moment(one["not_after"]),
            Text(duration(one["seconds_left"]), style),
            "now" if one["running"] else "-" if planned is None else moment(planned["at"]),
            Text(_why(one), style),
        )
    return FittingTable(table)


def _why(one: CertificateRow) -> str:
    planned = one["next"]
    last_error = one["last_error"]
    reason = "-" if planned is None else str(planned["reason"])
    if last_error:
        return f"{reason}; last: {last_error}"
    if planned is not None and planned["waits_seconds"] and planned["failures"]:
        return f"{reason}; waits after {planned['failures']} failures"
    return reason


def details(one: CertificateRow) -> RenderableType:
    """`plexigate certs show`."""
    table = Table.grid(padding=(0, 2))
    planned = one["next"]
    rows = {
        "identity": one["identity"],
        "credential": one["credential"],
        "names": ", ".join(one["names"]),
        "issuer": one["issuer"],
        "key": f"{one['key']['algorithm']}, in {one['key']['place']}",
        "version": one["version"],
        "serial": one["serial"],
        "valid from": moment(one["not_before"]),
        "valid until": f"{moment(one['not_after'])} ({duration(one['seconds_left'])} left)",
        "next try": "-: -" if planned is None else f"{moment(planned['at'])}: {planned['reason']}",
        "due since": moment(planned["due_at"]) if planned and planned["failures"] else None,
        "urgency": planned and planned["urgency"],
        "failures in a row": planned and planned["failures"],
        "last error": one["last_error"],
    }
    for name, value in rows.items():
        if value is not None:
            table.add_row(Text(name, "dim"), Text(str(value)))
    return table


def history_table(versions: Sequence[VersionRow]) -> RenderableType:
    """`plexigate certs history`."""
    table = unwrapped(
        *("credential", "version", "state", "since", "reason", "key", "serial", "valid until", "key kept until")
    )
    for one in versions:
        table.add_row(
            one["credential"],
            str(one["version"]),
            Text(one["state"], "green" if one["state"] == "serves" else ""),
            moment(one["since"]),
            one["reason"],
            one["key"],
            (one["serial"] or "-")[:_SHOWN_SERIAL],
            moment(one["not_after"]),
            moment(one["key_until"]) if one["has_key"] else "destroyed",
        )
    return FittingTable(table)


def step_line(step: RotationLine) -> Text:
    told: Mapping[str, object] = step
    names = ("key", "issuer", "serial", "not_after", "version")
    facts = [f"{name} {_shown(name, str(told[name]))}" for name in names if name in told]
    about = f"{step['identity']} {step['credential']}: " if "identity" in step else ""
    if "would" in step:
        return Text(f"{about}steps would be: {' -> '.join(step['would'])}")
    if "rotated" in step:
        # no step if the leader of a fleet has failed, or there is none
        where = f" ({step['step']})" if "step" in step else ""
        done = "done" if step["rotated"] else f"failed{where}: {step['detail']}; the old certificate stays in use"
        return Text(f"{about}{done}", "green" if step["rotated"] else "bold red")
    if "note" in step:
        return Text(f"{about}{step['note']}", "yellow")
    if step.get("step") == "waiting":
        until = f"{datetime.fromisoformat(step['until']):%Y-%m-%d %H:%M:%S} UTC"
        return Text(f"{about}waiting until {until} ({duration(step['seconds'])}): {step['detail']}", "yellow")
    return Text(f"{about}{step.get('step', '')}  {', '.join(facts)}".rstrip())


def _shown(name: str, value: str) -> str:
    return moment(value) if name == "not_after" else value


def moment(text: str | None) -> str:
    """A time in ISO 8601, to the minute, in UTC."""
    return "-" if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"


def duration(seconds: float | None) -> str:
    """A time span in its largest unit."""
    if seconds is None:
        return "-"
    if seconds < 0:
        return "expired"
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
