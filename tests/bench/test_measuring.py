"""A row shows the way of loading that is worse for Plexigate, and what the other one gave."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from tests.bench import differing
from tests.bench.measuring import WAYS, CpuTime, Scene, exchange_row
from tests.bench.servers import Server


@dataclass
class Scripted:
    """A meter that makes the operations, and says what it was told of them."""

    said: list[float]
    unit: ClassVar[str] = "µs CPU"
    rounds: ClassVar[int] = 1
    most: ClassVar[int] = 0

    def per_operation(self, _: Server, operate: Callable[[Server], int]) -> float:
        """See `Meter`."""
        assert operate(_) > 0
        return self.said.pop(0)


def test_worse_way_is_shown_and_the_other_one_noted(scene: Scene) -> None:
    few, many = ([10.0, 20.0, 14.0], [10.0, 20.0, 12.0])
    for said, shown, ratio in ((few + many, WAYS[0], 1.4), (many + few, WAYS[1], 1.4)):
        row = exchange_row(replace(scene, meter=Scripted(list(said))), differing.SAME, "GET", 1.0, connections=8)
        assert row.ratio == ratio
        other = WAYS[1] if shown == WAYS[0] else WAYS[0]
        assert row.note == f"{shown} in flight; {other} in flight: 1.20x"


def test_counted_operations_are_as_many_as_the_meter_asks_for(scene: Scene) -> None:
    done: list[int] = []

    class Counting(CpuTime):
        rounds = 1
        most = 40

        def per_operation(self, server: Server, operate: Callable[[Server], int]) -> float:
            done.append(operate(server))
            return 1.0

    row = exchange_row(replace(scene, meter=Counting()), differing.BOTH, "GET", 1.0, connections=8)
    assert done == [40, 40, 40]
    assert re.fullmatch(rf"{WAYS[-1]} in flight", row.note)
