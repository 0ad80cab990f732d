"""What a new worker is told, and what is kept of one that is gone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from config.loading.loader import load
from proxy.limits.connections import ConnectionCounts
from proxy.limits.rates import FleetLimit
from proxy.limits.shared import SharedTable
from proxy.net.tasks import Tasks
from proxy.processes.messages.answers import WorkerFigures
from proxy.processes.messages.questions import (
    KnownBeside,
    ShowAlternatives,
    ShowChallenges,
    ShowMaintenance,
    ShowShares,
)
from proxy.processes.messages.version import VERSION
from proxy.supervisor.crew import Crew
from proxy.supervisor.log_target import LogTarget
from proxy.supervisor.secrets.audit_trail import AuditTrail
from proxy.supervisor.workers.sockets import ListeningSockets
from proxy.tls.handshake.challenge import TlsChallenge
from tests.configurations import Site


@dataclass(eq=False)
class Worker:
    """A worker process as far as the parent keeps things for it."""

    slot: int = 0
    pid: int = 1
    last: WorkerFigures | None = None


@pytest.fixture
async def crew(site: Site, tmp_path: Path) -> AsyncIterator[Crew]:
    loop, errors = asyncio.get_running_loop(), list[BaseException]()
    target = LogTarget(
        (given := load(site.write(f'{site.minimal}[log]\nfile = "{tmp_path}/log"\n'))).file,
        given.config.log,
        given.config.limits.log_queue_lines,
        None,
    )
    trail = AuditTrail(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    tasks = Tasks(loop, errors.append)
    made = Crew(loop, tasks, ListeningSockets(), target, lambda _: None, trail, 1)
    yield made
    await tasks.cancel_all()
    made.close()
    target.close(10)
    assert errors == []


async def test_worker_that_joins_is_told_what_cas_may_be_shown(crew: Crew) -> None:
    nothing = KnownBeside((), ShowChallenges((), {}), (), ShowMaintenance(()), ShowShares({}), ShowAlternatives({}))
    assert crew.known() == nothing
    challenge = TlsChallenge("chat.test", bytes(32))
    await crew.proofs.challenges.present(challenge)
    assert crew.known().challenges == ShowChallenges((challenge,), {})
    await crew.proofs.challenges.withdraw(challenge)
    assert crew.known() == nothing


async def test_worker_that_joins_is_told_what_clients_are_told_of_http_3(crew: Crew) -> None:
    await crew.say({"public": b"clear"})
    assert crew.known().alternatives == ShowAlternatives({"public": b"clear"})


async def test_a_column_is_free_again_when_its_worker_is_gone(crew: Crew) -> None:
    first: Any = Worker()
    second: Any = Worker(slot=1, pid=2)
    begin, descriptors = crew.beginning(first)
    assert (begin.version, begin.column, len(descriptors)) == (VERSION, 0, 3)
    crew.worker_gone(first)
    assert crew.beginning(second)[0].column == 0
    crew.worker_gone(second)


async def test_what_a_worker_had_counted_is_kept(crew: Crew) -> None:
    worker: Any = Worker(last=WorkerFigures(1, {"listener_requests": []}, ()))
    crew.beginning(worker)
    assert not crew.retained.snapshot
    crew.worker_gone(worker)
    assert "listener_requests" in crew.retained.snapshot


async def test_workers_that_join_later_know_the_shares_of_this_node_too(crew: Crew) -> None:
    await crew.keep_to({"rate of chat.test/": 0.25})
    assert crew.known().shares == ShowShares({"rate of chat.test/": 0.25})


async def test_what_workers_use_of_a_limit_of_the_fleet_is_read_in_their_table(crew: Crew) -> None:
    table = SharedTable(crew._columns.descriptor, 3)
    table.want("rate of chat.test/")
    counts = ConnectionCounts("public", table, lambda: 0.0)
    counts.count_in(counts.client(b"one"))
    assert crew.used(FleetLimit("rate of chat.test/", 5.0)) == 1
    assert crew.used(FleetLimit("connections of public", 5.0, "public")) == 1
