"""A scrape: what follows from what is in it."""

from typing import TYPE_CHECKING

from proxy.observe.scrape import WorkerScrape

if TYPE_CHECKING:
    from proxy.figures.snapshot import ConnectionRow


def test_open_connections_are_read_from_the_snapshot() -> None:
    rows: list[ConnectionRow] = [
        {"listener": "public", "accepted": 9, "open": 3},
        {"listener": "inner", "accepted": 1, "open": 0},
    ]
    assert WorkerScrape(0, 1, 2.0, 1, {"connections": rows}).connections == {"public": 3, "inner": 0}
