"""The tables of routes and versions of HTTP."""

from typing import Any

from rich.console import Console, Group

from proxy.commands.terminal.request_tables import request_tables


def shown(routes: list[Any], protocols: list[Any]) -> list[str]:
    console = Console(width=140, color_system=None)
    with console.capture() as capture:
        console.print(Group(*request_tables(routes, protocols)))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def route(name: str, ok: int, p99: float | None = 0.25, **requests: int) -> Any:
    counts = {"2xx": ok, **requests}
    return {"route": name, "requests": counts, "websockets_open": 2, "p50_seconds": 0.005, "p99_seconds": p99}


def protocol(name: str, requests: int) -> Any:
    return {"protocol": name, "requests": requests, "p50_seconds": 0.001, "p99_seconds": 30.0}


def test_routes_are_shown_with_the_busiest_first() -> None:
    lines = shown([route("a.test/", 5, 2.5), route("-", 0, None, **{"4xx": 7})], [])
    start = lines.index("route requests 4xx 5xx WebSockets p50 p99")
    assert lines[start + 1 : start + 3] == ["no route 7 7 0 2 <= 5 ms -", "a.test/ 5 0 0 2 <= 5 ms <= 2.5 s"]


def test_many_routes_are_cut_and_counted() -> None:
    lines = shown([route(f"r{number}.test/", number + 1) for number in range(23)], [])
    assert any(line.startswith("r22.test/") for line in lines)
    assert not any(line.startswith("r2.test/") for line in lines)
    assert "3 more routes, see --json" in " ".join(lines)


def test_protocols_are_compared_where_there_are_several() -> None:
    assert shown([], [protocol("h2", 3), protocol("http/1.1", 0)]) == []
    lines = shown([], [protocol("h2", 3), protocol("http/1.1", 4)])
    assert "h2 3 <= 1 ms >= 30 s" in lines


def test_names_from_outside_are_no_markup() -> None:
    assert any(line.startswith("[red]x/") for line in shown([route("[red]x/", 1)], []))
