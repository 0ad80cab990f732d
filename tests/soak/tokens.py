"""Two tokens die in turn and in every way while clients shake hands, then both at once.

They hold copies of one key, then a key and a certificate each. At the end: not one handshake has failed while one token was well,
and with both dead the proxy was back within two seconds of their return. For what an internal CA issues, see `replicas`.
"""

import itertools
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.hsm.faults import FAULTS, Fault, errors, hang
from tests.hsm.shim import build_shim
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import SOFTHSM
from tests.integration.hsm_scene import RETRIED_GROUPS, USUAL_GROUPS, Load, Scene, scene

CLIENTS = 4
HANDSHAKES_WHILE_DEAD = 100
HANDSHAKES_BETWEEN = 40
BACK_SECONDS = 2.0
PROBES_FAILED = 6
# Longer than any back-off that a dead token has reached.
PATIENCE_SECONDS = 60.0


@dataclass
class Seen:
    """With one kind of key and one kind of client."""

    kind: str
    groups: str
    keys: str
    handshakes: int = 0
    slowest: float = 0.0
    deaths: int = 0
    back: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def die_in_turn(one: Scene, seen: Seen, seconds: float) -> None:
    """One token or the other, under load; every second time while the other one has lost its sessions unseen."""
    tokens = {"plexi": one.plexi, "spare": one.spare}
    turns = itertools.product((False, True), FAULTS, tokens)
    ends = time.monotonic() + seconds
    with Load(one, one.handshakes(one.client(seen.groups))).running(CLIENTS) as load:
        load.more(HANDSHAKES_BETWEEN)
        for is_other_lost, fault, name in itertools.cycle(turns):
            if time.monotonic() >= ends:
                break
            before = len(load.errors)
            if is_other_lost:
                next(token for other, token in tokens.items() if other != name).lose_sessions()
            with fault(tokens[name]):
                load.more(HANDSHAKES_WHILE_DEAD)
            while_dead = len(load.errors)
            one.until(lambda: all(one.is_used(token) for token in tokens), seconds=PATIENCE_SECONDS)
            load.more(HANDSHAKES_BETWEEN)
            seen.deaths += 1
            if load.errors[before:]:
                seen.wrong.append(
                    f"{fault.__name__} of {name}{', the other one without sessions' * is_other_lost}: {while_dead - before} failures, {len(load.errors) - while_dead} after it"
                )
    seen.handshakes, seen.slowest = len(load.times), max(load.times)
    seen.wrong += [f"{type(error).__name__}: {error}" for error in load.errors]
    if failed := one.handshakes_failed():
        seen.wrong.append(f"the proxy counts {failed:g} failed handshakes")


def die_together(one: Scene, seen: Seen, fault: Fault) -> None:
    """Both at once, for so long that back-offs alone would take longer; how long it took after their return."""
    context = one.client(seen.groups)
    before = {name: one.metric("token_probes_failed_total", token=name) for name in ("plexi", "spare")}
    with fault(one.plexi), fault(one.spare):
        while (
            min(one.metric("token_probes_failed_total", token=name) - before[name] for name in before) < PROBES_FAILED
        ):
            assert not one.serves(context)
    back = time.monotonic()
    one.until(lambda: one.serves(context), seconds=PATIENCE_SECONDS)
    seen.back.append(time.monotonic() - back)
    if seen.back[-1] > BACK_SECONDS:
        seen.wrong.append(f"{seen.back[-1]:.1f} s until a handshake after both had died by {fault.__name__}")
    one.until(lambda: one.state("plexi") == one.state("spare") == "closed", seconds=PATIENCE_SECONDS)


def run(minutes: float, console: Console) -> list[str]:
    """Run it; answers what is wrong."""
    kinds = list(itertools.product(("ecdsa-p256", "rsa-3072"), (USUAL_GROUPS, RETRIED_GROUPS), ("copies", "replicas")))
    results = []
    for kind, groups, keys in kinds:
        seen = Seen(kind, groups, keys)
        results.append(seen)
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plexigate-soak-")))
            site = HsmSite.make(directory, build_shim(directory, SOFTHSM))
            stack.callback(site.hsm.shim.close)
            with scene(site, kind, copies=keys == "copies") as one:
                die_in_turn(one, seen, minutes * 60 / len(kinds))
                for fault in (errors, hang):
                    die_together(one, seen, fault)
        console.print(f"{kind}, {groups}, {keys}: {seen.deaths} deaths, {len(seen.wrong)} wrong", highlight=False)
    console.print(report(results))
    return [f"{seen.kind}, {seen.groups}, {seen.keys}: {line}" for seen in results for line in seen.wrong]


def report(results: list[Seen]) -> Table:
    """What was seen."""
    table = Table(title="one of two tokens dead in turn, then both")
    for column in ("key", "client's groups", "in both", "deaths", "handshakes", "failed", "slowest s", "back after s"):
        table.add_column(column, justify="left" if column in ("key", "client's groups", "in both") else "right")
    for seen in results:
        back = ", ".join(f"{seconds:.2f}" for seconds in seen.back)
        figures = (seen.deaths, seen.handshakes, len(seen.wrong), f"{seen.slowest:.2f}", back)
        table.add_row(seen.kind, seen.groups, seen.keys, *(f"{figure}" for figure in figures))
    return table
