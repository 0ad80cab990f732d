"""Attacks that untrusted clients can make from one machine: what becomes of honest clients meanwhile, beside nginx in the same run."""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import groupby

from rich.console import Console
from rich.table import Table

from tests.soak.attacks import honest
from tests.soak.attacks.arena import Arena, Outcome, arena, tried
from tests.soak.attacks.attack import Attack
from tests.soak.attacks.table import ATTACKS


def run(minutes: float, console: Console) -> list[str]:
    """Try each of them for its part of the time, but with `honest.COUNT` clients at least; answers what is wrong."""
    each = sum(2 if attack.has_yardstick else 1 for attack in ATTACKS)
    count = max(honest.COUNT, int(minutes * 60 / each * honest.PER_SECOND))
    table = Table("attack", "target", "honest", "failed", "p50", "p99", "p99 without", box=None, header_style="bold")
    wrong: list[str] = []

    def row(attack: Attack, name: str, outcome: Outcome) -> None:
        held = outcome.held
        failed = f"{held.failed} ({held.said})" if held.failed else "0"
        times = [f"{seconds * 1e3:,.0f} ms" for seconds in (held.p50, held.p99, outcome.calm.p99)]
        table.add_row(attack.name, name, str(held.count), failed, *times)

    for settings, attacks in groupby(ATTACKS, lambda attack: attack.settings):
        with arena(settings) as running:
            wrong += _tried_all(running, list(attacks), count, row)
    console.print(table, highlight=False)
    return wrong


def _tried_all(
    running: Arena, attacks: list[Attack], count: int, row: Callable[[Attack, str, Outcome], None]
) -> list[str]:
    wrong: list[str] = []
    with ExitStack() as stack:
        yardstick = None
        for attack in attacks:
            outcome = tried(attack, running.plexigate, count)
            row(attack, "plexigate", outcome)
            wrong += [f"{attack.name}: {line}" for line in outcome.wrong]
            if attack.has_yardstick:
                yardstick = yardstick or stack.enter_context(running.nginx())
                row(attack, yardstick.name, tried(attack, yardstick, count))
    return wrong
