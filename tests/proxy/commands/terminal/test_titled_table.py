"""The look of a table."""

from rich.console import Console

from proxy.commands.terminal.titled_table import titled_table


def test_columns_with_a_mark_are_aligned_right() -> None:
    table = titled_table("Title", "name", ">count")
    table.add_row("a", "5")
    console = Console(width=40, color_system=None)
    with console.capture() as capture:
        console.print(table)
    assert [line.rstrip() for line in capture.get().splitlines()] == ["", "Title", "name  count", "a         5"]
