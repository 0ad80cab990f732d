"""The verdict on an audit log, for a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from certs.audit.verdict import LogVerdict, Status


def verdict_table(files: Sequence[str], verdict: LogVerdict) -> RenderableType:
    """The log and its files, what was found, what should be known, and the last word."""
    heading = Text.assemble(
        ("log ", "bold"), (_visible(verdict.log) or "(its id is not known)", "bold"), f"  {_count(len(files), 'file')}"
    )
    rows = [_row(finding.fault.value, "bold red", f"{finding.place}", finding.meaning) for finding in verdict.findings]
    rows += [_row("note", "bold yellow", f"{remark.place}", remark.meaning) for remark in verdict.remarks]
    if verdict.unproven_since is not None:
        meaning = "from here on no checkpoint is signed by a key that was given, though those before are"
        rows.append(_row(Status.UNPROVEN_TAIL, "bold red", f"{verdict.unproven_since}", meaning))
    return Group(heading, *rows, _conclusion(verdict))


def lost_log(log: str, lines: int, *, is_proven: bool) -> RenderableType:
    """A log that a checkpoint from outside tells of, and of which there is no file; anybody may have written one that proves nothing."""
    heading = Text.assemble(("log ", "bold"), (log, "bold"), "  0 files")
    told = f"known checkpoint tells of {_count(lines, 'line')}"
    if is_proven:
        return Group(heading, Text(f"Not intact: a {told}; no file of this log was given.", "bold red"))
    unsigned = "no proof that there was one: no checkpoint of it is signed by a key that was given"
    return Group(heading, Text(f"A {told}; {unsigned}.", "bold yellow"))


def _row(what: str, style: str, place: str, meaning: str) -> Text:
    """Not a table's: that would cut a long path."""
    return Text.assemble("  ", (what, style), f"  {_visible(place)}  {_visible(meaning)}")


def _visible(text: str) -> str:
    """What whoever wrote the file has chosen must not clear the screen that says what is wrong with it."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def _conclusion(verdict: LogVerdict) -> Text:
    lines = f"lines {verdict.first} to {verdict.last}"
    if not verdict.last:
        return Text("There is no line.", "bold yellow")
    if not verdict.is_intact:
        return Text(f"Not intact: {_count(len(verdict.findings), 'finding')} in {lines}.", "bold red")
    if verdict.status is Status.UNPROVEN_TAIL:
        return Text(
            f"UNPROVEN TAIL: no line is wrong, but only lines {verdict.first} to {verdict.proven} are proven. The "
            f"{_count(verdict.unproven, 'line')} after that go on without the key: it was away or replaced, or somebody without it has "
            "written them.",
            "bold red",
        )
    if not verdict.proven:
        return Text(f"Intact, but nothing is proven: no checkpoint vouches for any of {lines}.", "bold yellow")
    if verdict.unproven:
        which = _count(verdict.unproven, "line")
        return Text(f"Intact: {lines}, proven up to {verdict.proven}; {which} after that still unproven.", "bold green")
    return Text(f"Intact and proven: {lines}.", "bold green")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
