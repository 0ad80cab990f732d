"""Callgrind counts what a program does for an operation, and nothing else."""

import socket
from pathlib import Path

import pytest

from tests.bench.instructions import Instructions
from tests.bench.load import LoadError
from tests.bench.servers import Server, compiled, upstream_port
from tests.programs import program

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_only_operations_are_counted_and_all_cost_the_same(tmp_path: Path) -> None:
    meter = Instructions(tmp_path, idle_seconds=0.5)  # this server does nothing by the clock
    command = [*meter.command, str(compiled("upstream", tmp_path))]
    with (
        program(command, upstream_port) as running,
        socket.create_connection(("127.0.0.1", running.ready), timeout=60) as client,
    ):
        server = Server("upstream", running.pid, running.ready)

        def ask(count: int) -> int:
            for _ in range(count):
                client.sendall(GET)
                assert client.recv(1_000).startswith(b"HTTP/1.1 200 OK\r\n")
            return count

        few, many = (meter.per_operation(server, lambda _, count=count: ask(count)) for count in (100, 1_000))  # type: ignore[misc]
        ask(1_000)
        again = meter.per_operation(server, lambda _: ask(100))
    assert 0.5 < many < 50
    assert few == pytest.approx(many, rel=0.2)
    assert again == pytest.approx(few, rel=0.2)


def test_program_that_callgrind_does_not_run_is_an_error(tmp_path: Path) -> None:
    with (
        program([str(compiled("upstream", tmp_path))], upstream_port) as running,
        pytest.raises(LoadError, match="upstream: callgrind says"),
    ):
        Instructions(tmp_path).per_operation(Server("upstream", running.pid, running.ready), lambda _: 1)
