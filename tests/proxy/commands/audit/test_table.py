"""A verdict, for a terminal."""

from io import StringIO

from rich.console import Console, RenderableType

from certs.audit.verdict import Fault, LinePlace, LogFinding, LogVerdict, Remark
from proxy.commands.audit.table import lost_log, verdict_table


def printed(renderable: RenderableType) -> list[str]:
    output = StringIO()
    Console(file=output, width=160).print(renderable)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_findings_and_remarks_with_their_places() -> None:
    verdict = LogVerdict(
        "ab12",
        1,
        9,
        4,
        (LogFinding(LinePlace("audit.jsonl", 3), Fault.CHANGED, "the line is another"),),
        (Remark(LinePlace("audit.jsonl.1", 12), "[bold]torn[/bold]"),),
    )
    assert printed(verdict_table(["audit.jsonl", "audit.jsonl.1"], verdict)) == [
        "log ab12  2 files",
        "  changed  audit.jsonl:3  the line is another",
        "  note  audit.jsonl.1:12  [bold]torn[/bold]",
        "Not intact: 1 finding in lines 1 to 9.",
    ]


def test_long_path_is_not_cut() -> None:
    place = LinePlace("/" + "far/" * 40 + "audit.jsonl", 3)
    lines = printed(verdict_table(["a"], LogVerdict("ab12", 1, 9, 4, (LogFinding(place, Fault.CHANGED, "so"),), ())))
    assert str(place) in "".join(lines)


def test_what_a_forger_wrote_cannot_move_the_cursor_of_the_terminal() -> None:
    remark = Remark(LinePlace("a\x1b[2J", 1), "a checkpoint is not signed (\x1b[2J\r\nIntact)")
    shown = printed(verdict_table(["a"], LogVerdict("ab\x1b[8m", 1, 9, 4, (), (remark,))))
    assert shown[:2] == [
        "log ab\\x1b[8m  1 file",
        "  note  a\\x1b[2J:1  a checkpoint is not signed (\\x1b[2J\\r\\nIntact)",
    ]


def test_the_last_word() -> None:
    def last(first: int, last: int, proven: int) -> str:
        return printed(verdict_table(["a"], LogVerdict("ab12", first, last, proven, (), ())))[-1]

    assert last(0, 0, 0) == "The log has no lines."
    assert last(1, 9, 0) == "Intact, but nothing is proven: no checkpoint confirms any of lines 1 to 9."
    assert last(1, 9, 8) == "Intact: lines 1 to 9, proven up to 8; the last 1 line still unproven."
    assert last(1, 9, 9) == "Intact and proven: lines 1 to 9."


def test_a_tail_that_was_not_signed() -> None:
    verdict = LogVerdict("ab12", 1, 9, 2, (), (), LinePlace("audit.jsonl", 6))
    assert printed(verdict_table(["a"], verdict))[-3:] == [
        "  unproven tail  audit.jsonl:6  from here on no checkpoint is signed by a given key; earlier checkpoints are",
        "UNPROVEN TAIL: no line is wrong, but only lines 1 to 2 are proven. No given key signed a checkpoint after that (7 lines): the key was unavailable or replaced,",
        "or an attacker without the key wrote these lines.",
    ]


def test_a_log_that_is_gone() -> None:
    assert printed(lost_log("ab12", 40, is_proven=True)) == [
        "log ab12  0 files",
        "Not intact: a known checkpoint covers 40 lines; no file of this log was given.",
    ]
    assert printed(lost_log("ab12", 40, is_proven=False)) == [
        "log ab12  0 files",
        "A known checkpoint covers 40 lines; it is not proven that this log existed: no checkpoint of it is signed by a given key.",
    ]
