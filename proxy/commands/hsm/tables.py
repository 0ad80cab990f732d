"""Tokens, keys and measurements for a terminal."""

from collections.abc import Sequence
from typing import TypedDict

from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from certs.hsm.facts import KeyFacts, PinState, TokenFacts
from certs.hsm.targets import Check, Measured, MeasuringReport
from config.values.problems import printable
from proxy.commands.terminal.tables import FittingTable, plain_table, unwrapped


def token_table(tokens: Sequence[TokenFacts]) -> RenderableType:
    """Tokens: label, serial, model, slot, PIN state, sessions and abilities."""
    table = unwrapped(
        "token",
        "serial",
        Column("model", overflow="fold"),
        "slot",
        "PIN",
        "sessions",
        Column("can do", overflow="fold"),
    )
    for one in tokens:
        table.add_row(
            told(
                one.label or ("(no answer)" if one.fault else "(not set up)"),
                style="bold" if one.is_initialized else "dim",
            ),
            told(one.serial),
            told(one.model),
            str(one.slot),
            _pin(one),
            f"{_known(one.sessions)} of {_known(one.session_limit)}",
            Text(one.fault, style="red") if one.fault else ", ".join(_abilities(one)),
        )
    return FittingTable(table)


class HierarchyRow(TypedDict, total=False):
    """The sealing key in one version, or a key below it, as JSON. Times are in ISO 8601."""

    id: str
    purpose: str
    version: int
    quota: int | None
    uses: int
    state: str
    created: str | None
    activated: str | None
    retired: str | None
    destroyed: str | None
    until: str | None
    """When a sealing key that was replaced opens nothing any more."""
    protects: str
    if_lost: str
    files: list[str] | None
    """The paths of what it has sealed; None if that could not be read."""


def hierarchy_table(keys: Sequence[HierarchyRow]) -> RenderableType:
    """The sealing key and the keys below it, with what the loss of each means."""
    wide = (Column(name, overflow="fold") for name in ("protects", "if it is lost"))
    table = plain_table("key", "state", "since", "until", ">uses", ">files", *wide)
    for key in keys:
        of = f" of {key['quota']:_}" if key.get("quota") else ""
        ends = (key.get("until"), key.get("destroyed"), key.get("retired"))
        table.add_row(
            told(key["id"], style="bold" if key["state"] == "active" else "dim"),
            key["state"],
            _day(key["created"]),
            _day(next((one for one in ends if one), None)),
            f"{key['uses']:_}{of}" if "uses" in key else "",
            "?" if key["files"] is None else str(len(key["files"])),
            key["protects"],
            key["if_lost"] if key["state"] != "destroyed" else "",
        )
    return FittingTable(table)


def _day(date: str | None) -> str:
    return "" if date is None else date[:16].replace("T", " ")


def key_table(token: TokenFacts, keys: Sequence[KeyFacts]) -> RenderableType:
    """The keys of a token: label, id, kind, uses, and whether they can leave the token."""
    title = told(f"keys of {token.label}", style="bold")
    if not keys:
        return Group(title, Text("  none", style="dim"))
    table = unwrapped("label", "id", "kind", Column("uses", overflow="fold"), "stays in", "made in")
    for key in keys:
        table.add_row(
            told(key.label, style="" if key.name is not None else "yellow"),
            key.id.hex(),
            key.kind,
            ", ".join(key.uses),
            _yes(is_so=key.is_sealed_in),
            _yes(is_so=key.is_local),
        )
    return Group(title, FittingTable(table))


def report_table(report: MeasuringReport) -> RenderableType:
    """Measurements beside their targets, and the results of the checks."""
    measured = plain_table("operation", "where", ">median", ">p95", ">per second", "target", "")
    for one in report.measured:
        place = f"{one.place} ({one.why})" if one.why else str(one.place)
        figures = (f"{one.median * 1e3:.3f} ms", f"{one.p95 * 1e3:.3f} ms", f"{one.per_second:,.0f}")
        measured.add_row(one.target.value, place, *figures, _target(one), _met(one))
    checks = plain_table("check", "", "found")
    for check in report.checks:
        checks.add_row(check.what, _right(check), check.found)
    return Group(measured, Text(), checks)


class ListedTokenRow(TypedDict):
    """A token as JSON. What the token does not tell is None."""

    label: str
    serial: str
    model: str
    manufacturer: str
    slot: int
    initialized: bool
    flags: list[str]
    pin: str | None
    sessions: int | None
    session_limit: int | None
    mechanisms: list[str]
    fault: str


# "class" is not a name for an attribute.
ListedKeyRow = TypedDict(
    "ListedKeyRow",
    {
        "label": str,
        "id": str,
        "class": str,
        "kind": str,
        "size": int | None,
        "identity": str | None,
        "version": int | None,
        "sensitive": bool | None,
        "extractable": bool | None,
        "always_sensitive": bool | None,
        "never_extractable": bool | None,
        "local": bool | None,
        "sign_only": bool,
        "uses": list[str],
    },
)
"""A key as JSON. What the token does not tell is None."""


def token_json(token: TokenFacts) -> ListedTokenRow:
    return {
        "label": token.label,
        "serial": token.serial,
        "model": token.model,
        "manufacturer": token.manufacturer,
        "slot": token.slot,
        "initialized": token.is_initialized,
        "flags": list(token.flag_names),
        "pin": token.pin_state.value if token.is_initialized else None,
        "sessions": token.sessions,
        "session_limit": token.session_limit,
        "mechanisms": list(token.mechanisms),
        "fault": token.fault,
    }


def key_json(key: KeyFacts) -> ListedKeyRow:
    name = key.name
    return {
        "label": key.label,
        "id": key.id.hex(),
        "class": key.key_class.value,
        "kind": key.kind,
        "size": key.size,
        "identity": None if name is None else name.identity,
        "version": None if name is None else name.version,
        "sensitive": key.is_sensitive,
        "extractable": key.is_extractable,
        "always_sensitive": key.was_always_sensitive,
        "never_extractable": key.was_never_extractable,
        "local": key.is_local,
        "sign_only": key.is_sign_only,
        "uses": list(key.uses),
    }


def told(words: str, style: str = "") -> Text:
    """Text from a token, made printable: labels are chosen by other users of the token."""
    return Text(printable(words), style=style)


def _pin(token: TokenFacts) -> Text:
    if not token.is_initialized:
        return Text("")
    return Text(token.pin_state.value, style="" if token.pin_state is PinState.FINE else "bold red")


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)


def _abilities(token: TokenFacts) -> list[str]:
    """What the token can sign and seal with; auxiliary mechanisms are left out."""
    names = {
        "CKM_ECDSA": "ECDSA",
        "CKM_RSA_PKCS_PSS": "RSA",
        "CKM_ML_DSA": "ML-DSA",
        "CKM_ML_KEM": "ML-KEM",
        "CKM_AES_GCM": "AES-GCM",
    }
    return [name for mechanism, name in names.items() if mechanism in token.mechanisms]


def _yes(*, is_so: bool | None) -> Text:
    if is_so is None:
        return Text("unknown", style="yellow")
    return Text("yes", style="green") if is_so else Text("no", style="bold red")


def _target(one: Measured) -> str:
    most = one.target.most_seconds
    least = one.target.least_per_second
    parts = [f"< {most * 1e3:g} ms" if most is not None else "", f"> {least:g}/s" if least is not None else ""]
    return ", ".join(part for part in parts if part) or "none"


def _met(one: Measured) -> Text:
    if one.is_met is None:
        return Text("")
    return Text("met", style="green") if one.is_met else Text("missed", style="bold yellow")


def _right(check: Check) -> Text:
    return Text("right", style="green") if check.is_right else Text("WRONG", style="bold red")
