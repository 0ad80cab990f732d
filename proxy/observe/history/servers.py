"""How fast each server answered in the last minutes. Pure."""

from collections.abc import Mapping
from typing import Any

from proxy.figures.histogram import REQUEST_SECONDS
from proxy.observe.history.reading import Distribution, added
from proxy.observe.scrape import Scrape

ServerReadings = Mapping[str, Distribution]
"""The times to the first byte of a response, by the address of the server."""


def server_readings(scrape: Scrape) -> ServerReadings:
    """Those of all workers together, those that have ended included."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for snapshot in (scrape.retained or {}, *(worker.snapshot for worker in scrape.workers)):
        for row in snapshot.get("server_seconds", ()):
            rows.setdefault(row["server"], []).append(row)
    return {server: Distribution(REQUEST_SECONDS, added(REQUEST_SECONDS, found)) for server, found in rows.items()}


def latencies_since(
    oldest: tuple[float, ServerReadings] | None, readings: ServerReadings
) -> dict[str, dict[str, float | None]]:
    """`p50` and `p99` in seconds by server since the oldest reading; None without a request."""
    earlier = oldest[1] if oldest is not None else {}
    lately = {server: one.since(earlier.get(server)) for server, one in readings.items()}
    return {server: {"p50": one.quantile(0.5), "p99": one.quantile(0.99)} for server, one in lately.items()}
