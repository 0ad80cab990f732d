"""The example configuration, broken in every key and in every way; `./dev test` tries one way in ten."""

from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.broken_documents import World
from tests.integration.test_broken_configurations import TABLES, break_table


def run(_minutes: float, console: Console) -> list[str]:
    """Break everything, and return what was wrong."""
    wrong = []
    with TemporaryDirectory() as directory:
        world = World(Path(directory))
        for document, tables in TABLES.items():
            for table in tables:
                try:
                    break_table(world, document, table)
                except AssertionError as error:
                    wrong.append(f"{document}, {table}: {error}")
                console.print(f"{document}: {table}", highlight=False)
    return wrong
