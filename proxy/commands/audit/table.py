"""The verdict on an audit log, for a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from certs.audit.verdict import LogVerdict, Status
from proxy.figures.totals import how_many


def verdict_table(files: Sequence[str], verdict: LogVerdict) -> RenderableType:
    """The log and its files, findings, remarks, and the conclusion."""
    heading = Text.assemble(
        ("log ", "bold"), (_visible(verdict.log) or "(id unknown)", "bold"), f"  {how_many(len(files), 'file')}"
    )
    rows = [_row(finding.fault.value, "bold red", f"{finding.place}", finding.meaning) for finding in verdict.findings]
    rows += [_row("note", "bold yellow", f"{remark.place}", remark.meaning) for remark in verdict.remarks]
    if verdict.unproven_since is not None:
        meaning = "from here on no checkpoint is signed by a given key; earlier checkpoints are"
        rows.append(_row(Status.UNPROVEN_TAIL, "bold red", f"{verdict.unproven_since}", meaning))
    return Group(heading, *rows, _conclusion(verdict))


def lost_log(log: str, lines: int, *, is_proven: bool) -> RenderableType:
    """A log that a known checkpoint names and of which no file was given.

    Without a signature the checkpoint proves nothing: anyone may have written it.
    """
    heading = Text.assemble(("log ", "bold"), (log, "bold"), "  0 files")
    told = f"known checkpoint covers {how_many(lines, 'line')}"
    if is_proven:
        return Group(heading, Text(f"Not intact: a {told}; no file of this log was given.", "bold red"))
    unsigned = "it is not proven that this log existed: no checkpoint of it is signed by a given key"
    return Group(heading, Text(f"A {told}; {unsigned}.", "bold yellow"))


def _row(what: str, style: str, place: str, meaning: str) -> Text:
    """A row of text: a table would cut a long path."""
    return Text.assemble("  ", (what, style), f"  {_visible(place)}  {_visible(meaning)}")


def _visible(text: str) -> str:
    """Escape control characters: an attacker who wrote the file could clear the screen by them."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def _conclusion(verdict: LogVerdict) -> Text:
    lines = f"lines {verdict.first} to {verdict.last}"
    if not verdict.last:
        return Text("The log has no lines.", "bold yellow")
    if not verdict.is_intact:
        return Text(f"Not intact: {how_many(len(verdict.findings), 'finding')} in {lines}.", "bold red")
    if verdict.status is Status.UNPROVEN_TAIL:
        return Text(
            f"UNPROVEN TAIL: no line is wrong, but only lines {verdict.first} to {verdict.proven} are proven. No given "
            f"key signed a checkpoint after that ({how_many(verdict.unproven, 'line')}): the key was unavailable or "
            "replaced, or an attacker without the key wrote these lines.",
            "bold red",
        )
    if not verdict.proven:
        return Text(f"Intact, but nothing is proven: no checkpoint confirms any of {lines}.", "bold yellow")
    if verdict.unproven:
        which = how_many(verdict.unproven, "line")
        return Text(f"Intact: {lines}, proven up to {verdict.proven}; the last {which} still unproven.", "bold green")
    return Text(f"Intact and proven: {lines}.", "bold green")
