"""What is in a table is in it on every terminal."""

import io

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from proxy.commands.terminal.tables import FittingTable, titled_table

LABEL, ID = "a-label-to-copy", "0123456789abcdef0123456789abcdef"


def lines(width: int) -> list[str]:
    table = Table(Column("label", no_wrap=True), Column("id", no_wrap=True), "uses", "note", box=None)
    table.add_row(Text(LABEL, style="bold"), ID, "sign, decrypt, unwrap", "")
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(FittingTable(table))
    text = console.export_text()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    return [line.rstrip() for line in text.splitlines()]


def test_a_table_that_fits_is_one() -> None:
    assert [line.split() for line in lines(90)] == [
        ["label", "id", "uses", "note"],
        [LABEL, ID, "sign,", "decrypt,", "unwrap"],
    ]


def test_words_below_each_other_come_first() -> None:
    shown = [line.split() for line in lines(72)]
    assert shown[1][:3] == [LABEL, ID, "sign,"]
    assert shown[-1] == ["unwrap"]


def test_where_it_does_not_fit_each_row_is_a_block() -> None:
    assert lines(50) == [LABEL, f"  id    {ID}", "  uses  sign, decrypt, unwrap"]


def test_what_fits_in_no_line_goes_on_in_the_next() -> None:
    first, *others = lines(20)
    assert first == LABEL
    values = [line[8:] for line in others]
    assert "".join(values).startswith(ID)


def test_columns_with_a_mark_are_aligned_right() -> None:
    table = titled_table("Title", "name", ">count")
    table.add_row("a", "5")
    console = Console(width=40, color_system=None)
    with console.capture() as capture:
        console.print(table)
    assert [line.rstrip() for line in capture.get().splitlines()] == ["", "Title", "name  count", "a         5"]
