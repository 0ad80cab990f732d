"""Three proxies and three members of etcd, with TLS, through everything that can happen to them: clients do not notice it.

What a thief of the disks finds is looked at in the end. `tests/etcd_fleet` has the events and what is demanded of each;
`tests/integration/test_fleet.py` is the short form. Beside it goes a model of two nodes and a store, of which all schedules are tried:
`tests/proxy/supervisor/membership/test_every_schedule.py` tries shorter ones.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from proxy.payload.messages.causes import PayloadFault
from tests.etcd_fleet import proof
from tests.etcd_fleet.proof import Figures
from tests.etcd_fleet.scene import FleetScene, fleet_scene
from tests.etcd_fleet.sealed_bodies import used_anywhere
from tests.integration.certified_fleet import matrix
from tests.proxy.supervisor.membership.kinds.keys.skewed_rings import open_all
from tests.proxy.supervisor.membership.model import all_schedules

GONE_SECONDS = 60.0
KILLS = 5
STEPS = 5
"""Of each schedule that the model of two nodes goes through."""
RING_STEPS = 3
"""Of each schedule in which a ring is rotated, too."""
PAIRS = 100_000
"""Of messages that one node seals and another one opens."""

Event = Callable[[FleetScene], Figures]
EVENTS: dict[str, Event] = {
    **{f"leader killed ({number + 1})": proof.leader_killed for number in range(KILLS)},
    "leader slept": proof.leader_slept,
    "leader cut off": proof.leader_cut_off,
    "follower cut off": proof.follower_cut_off,
    "leading member of etcd cut off": proof.member_cut_off,
    "leader with a minority": proof.with_minority,
    "etcd gone": lambda scene: proof.etcd_gone(scene, GONE_SECONDS),
    "etcd restored from a snapshot": proof.etcd_restored,
    "etcd full": proof.disk_full,
    "10,000 names": lambda scene: proof.many_names(scene, 10_000),
    "shared rate": lambda scene: proof.shared_rate(scene, 5.0),
    "idle": lambda scene: proof.idle(scene, 20.0),
}


def run(_minutes: float, console: Console) -> list[str]:
    """Run it; answers what is wrong."""
    table = Table(
        "event", "s", "handshakes", "resumed", "requests", "messages", "slowest", "failures", "", title="fleet"
    )
    wrong: list[str] = []

    def told(name: str, happen: Event, scene: FleetScene) -> None:
        began = time.monotonic()
        figures = happen(scene)
        counts = (figures.handshakes, figures.resumed, figures.requests, figures.messages)
        facts = "; ".join(f"{what}: {how}" for what, how in figures.facts.items())
        row = (
            f"{time.monotonic() - began:.0f}",
            *map(str, counts),
            f"{figures.slowest:.2f} s",
            str(len(figures.failures)),
        )
        table.add_row(name, *row, facts)
        console.print(f"{name}: {', '.join(row)}; {facts}", highlight=False)
        wrong.extend(f"{name}: {one}" for one in figures.all_wrong)

    with tempfile.TemporaryDirectory(prefix="plexigate-fleet-") as directory, fleet_scene(Path(directory)) as scene:
        for node, seconds in scene.join_all():
            console.print(f"{node.name} served {seconds:.2f} s after it was approved")
        for name, happen in EVENTS.items():
            told(name, happen, scene)
            scene.note_secrets()
        wrong += [*proof.ordered(scene), *used_anywhere(scene)]
        for node in scene.nodes:
            node.stop()
        wrong += [f"found on a disk: {one}" for one in scene.found_on_disks()]
    with (
        tempfile.TemporaryDirectory(prefix="plexigate-tickets-") as directory,
        fleet_scene(Path(directory), proof.SHORTEST_TICKETS) as scene,
    ):
        _ = [*scene.join_all()]
        told("ticket keys changed", lambda scene: proof.tickets_changed(scene, GONE_SECONDS), scene)
    wrong += _modelled(console)
    console.print(table)
    return wrong


def _modelled(console: Console) -> list[str]:
    """What needs no three proxies; what is wrong."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="plexigate-schedules-") as directory:
        try:
            for steps, rings in ((STEPS, ()), (RING_STEPS, ("chat",))):
                tried = all_schedules(Path(directory) / str(steps), (), steps, rings)[""]
                console.print(f"{tried:,} schedules of {steps} steps: no object had two writers in one epoch")
        except AssertionError as error:
            wrong.append(f"a schedule: {error} {getattr(error, '__notes__', '')}")
    try:
        keys = open_all(PAIRS)
        console.print(f"{PAIRS:,} messages of one node, under {keys} keys of a ring, were opened by others")
    except (AssertionError, PayloadFault) as error:
        wrong.append(f"a message under a key of a ring: {error!r}")
    with tempfile.TemporaryDirectory(prefix="plexigate-certificates-") as directory:
        try:
            for step, seconds in matrix(Path(directory)):
                console.print(f"leader of a rotation killed, {step}: {seconds:.0f} s until both served by one edition")
        except AssertionError as error:
            wrong.append(f"a leader killed in a rotation: {error}")
    return wrong
