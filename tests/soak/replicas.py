"""Two tokens with a key and a certificate each, which a CA issues, under load: they die, lose their keys, are initialised anew.

Meanwhile the keys rotate. At the end no handshake has failed, a connection of the beginning is still there, and each replica was rotated
at least twice. Short in the suite, long here.
"""

import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from proxy.admin.client import UnixAdminClient
from tests import pebble as pebbles
from tests.hsm.faults import FAULTS
from tests.hsm.shim import TokenControl, build_shim
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import SOFTHSM, Token
from tests.integration.gateway import complaints, events
from tests.integration.hsm_scene import ROUTE, Load, Scene, ask, running, scene_of
from tests.integration.rotation import AcmeScene
from tests.pebble import Pebble
from tests.ports import lasting_port

PLACES: Final = ("plexi", "spare")
PATIENCE_SECONDS: Final = 90.0
_ANEW: Final = "initialised anew"
# A worker loads a copy of the module for each such token, at most eight (docs/hsm.md).
_MOST_COPIES: Final = 6
_WRONG: Final = ("worker_ended", "worker_stuck", "error", "reload_failed")


@dataclass
class Replicas:
    """A proxy whose identity has a replica in each of two tokens."""

    scene: Scene
    tokens: Mapping[str, Token]
    of_ca: Path | None = None
    """The root of a CA that is not our own."""

    @property
    def admin(self) -> UnixAdminClient:
        return UnixAdminClient(self.scene.site.directory / "plexigate.sock")

    @property
    def root(self) -> Path:
        """The root of its CA."""
        if self.of_ca is not None:
            return self.of_ca
        (path,) = (self.scene.site.directory / "issued" / "issuers" / "internal" / "root").glob("v*/chain.pem")
        return path

    def serials(self) -> dict[str, str]:
        """The serial number that serves, by the token."""
        rows = self.admin.get("/certificates")[1]["certificates"]
        return {row["credential"].removeprefix("ec@"): row["serial"] for row in rows}

    def served(self) -> str:
        """The serial number that a new client gets."""
        with self.scene.connect(self.scene.client(authority=self.root)) as tls:
            found: dict[str, Any] | None = tls.getpeercert()
            assert found is not None
            return f"{int(found['serialNumber'], 16):x}"

    def control(self, place: str) -> TokenControl:
        return self.scene.plexi if place == "plexi" else self.scene.spare

    def rotate(self, place: str, **query: str) -> bool:
        """Rotate one; whether that went well."""
        steps = self.admin.steps("/certificates/localhost/rotate", {"credential": f"ec@{place}", **query})
        return bool(list(steps)[-1]["ok"])


@contextmanager
def replicas(site: HsmSite, further: str = "", acme: "AcmeCa | None" = None) -> Iterator[Replicas]:
    """Run one, with both certificates: of an internal CA, or of pebble."""
    tokens = {"plexi": site.hsm.add_token("plexi"), "spare": site.hsm.add_token("spare", "another-pin")}
    keys = [f"ec-p256@{place}" for place in PLACES]
    if acme is None:
        parts = [site.issued_identity("localhost", keys, further)]
    else:
        parts = [site.issued_identity("localhost", keys, further, acme.issuer), acme.plain]
    configuration = site.write(site.tokens(*tokens.values()), *parts, ROUTE)
    with running(site, configuration) as run:
        one = Replicas(scene_of(site, run), tokens, None if acme is None else acme.root)
        one.scene.until(lambda: None not in one.serials().values(), PATIENCE_SECONDS)
        yield one
    assert complaints(run.output) == []


@dataclass(frozen=True)
class AcmeCa:
    """Pebble, which asks by http-01."""

    root: Path
    issuer: str
    """The keys of its `[issuer.NAME]`."""
    plain: str

    @classmethod
    @contextmanager
    def running(cls, directory: Path) -> Iterator["AcmeCa"]:
        """Let it run until the block ends."""
        http_port = lasting_port()
        with pebbles.names() as names:
            pebble = Pebble(directory, names.dns, http_port, lasting_port())
            settings = AcmeScene.by_pebble(pebble, directory, "http-01", 0, http_port)["acme"]
            issuer = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
            with pebble.up():
                root = directory / "root.pem"
                root.write_bytes(pebble.root)
                yield cls(root, f'type = "acme"\n{issuer}', f'[plain]\nbind = "127.0.0.1:{http_port}"\n')


@dataclass
class Outcome:
    """What came of it."""

    clients: int = 4
    handshakes_each: int = 40
    """Before, while and after something happens."""
    pause: float = 0.0
    """Seconds between two of a client."""
    events: dict[str, int] = field(default_factory=dict)
    handshakes: int = 0
    slowest: float = 0.0
    rotated: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))
    wrong: list[str] = field(default_factory=list)


def live(one: Replicas, outcome: Outcome, enough: Callable[[int], bool], chance: random.Random) -> None:
    """Let things happen, one after the other, until there were enough."""
    scene = one.scene
    with (
        scene.connect(scene.client(authority=one.root)) as established,
        Load(scene, scene.handshakes(scene.client(authority=one.root)), outcome.pause).running(outcome.clients) as load,
    ):
        load.more(outcome.handshakes_each)
        happenings = [*(fault.__name__ for fault in FAULTS), "lost keys", _ANEW]
        count = 0
        while not enough(count):
            if outcome.events.get(_ANEW, 0) == _MOST_COPIES:
                happenings = [one for one in happenings if one != _ANEW]
            what = happenings[count] if count < len(happenings) else chance.choice(happenings)
            place = chance.choice(PLACES)
            before = len(load.errors)
            try:
                _happen(one, what, place, load, outcome, chance)
            except AssertionError as error:
                said = [line[:300] for line in scene.running.output if '"event"' in line][-40:]
                raise AssertionError("\n".join([f"{what} of {place}: {error}", *said])) from None
            count += 1
            outcome.events[what] = outcome.events.get(what, 0) + 1
            if load.errors[before:]:
                outcome.wrong.append(f"{what} of {place}: {len(load.errors) - before} handshakes failed")
            assert ask(established) == 502, "a connection that was there before is gone"
    outcome.handshakes, outcome.slowest = len(load.times), max(load.times)
    outcome.wrong += [f"{type(error).__name__}: {error}" for error in load.errors]
    outcome.wrong += [str(event) for name in _WRONG for event in events(scene.running.output, name)]
    if failed := scene.handshakes_failed():
        outcome.wrong.append(f"the proxy counts {failed:g} failed handshakes")
    outcome.wrong += [f"{place} was rotated {times} times" for place, times in outcome.rotated.items() if times < 2]


def _happen(one: Replicas, what: str, place: str, load: Load, outcome: Outcome, chance: random.Random) -> None:
    """Something happens to one token while the key of one of both rotates, and is over."""
    scene = one.scene
    other = PLACES[1 - PLACES.index(place)]
    serials = one.serials()
    fault = next((fault for fault in FAULTS if fault.__name__ == what), None)
    rotates = chance.choice(PLACES) if fault is not None else other
    done: list[bool] = []
    rotation = threading.Thread(target=lambda: done.append(one.rotate(rotates)))
    rotation.start()
    if fault is not None:
        with fault(one.control(place)):
            load.more(outcome.handshakes_each)
    else:
        hsm = scene.site.hsm
        (hsm.lose_keys if what == "lost keys" else hsm.initialise_anew)(one.tokens[place])
        load.more(outcome.handshakes_each)
        if one.of_ca is None:
            scene.until(lambda: one.serials()[place] != serials[place], PATIENCE_SECONDS)
            outcome.rotated[place] += 1
        # one that is lost again and again is replaced later and later, by a public CA not more than four times a week
        outcome.rotated[place] += one.rotate(place)
    rotation.join()
    if done == [True]:
        outcome.rotated[rotates] += 1
    elif rotates == other:
        outcome.wrong.append(f"the key in {rotates} could not be rotated while {place} had: {what}")
    scene.until(lambda: all(scene.is_used(token) for token in PLACES), PATIENCE_SECONDS)
    load.more(outcome.handshakes_each)


def run(minutes: float, console: Console) -> list[str]:
    """Run it, half of the time with each CA; answers what is wrong."""
    wrong = []
    for ca in ("an internal CA", "pebble"):
        outcome = Outcome()
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plexigate-soak-")))
            site = HsmSite.make(directory, build_shim(directory, SOFTHSM))
            stack.callback(site.hsm.shim.close)
            acme = stack.enter_context(AcmeCa.running(directory)) if ca == "pebble" else None
            one = stack.enter_context(replicas(site, acme=acme))
            ends = time.monotonic() + minutes * 30
            live(one, outcome, lambda _, ends=ends: time.monotonic() >= ends, random.Random(26))  # type: ignore[misc]  # noqa: S311 - repeatable
        console.print(report(ca, outcome))
        wrong += [f"{ca}: {line}" for line in outcome.wrong]
    return wrong


def report(ca: str, outcome: Outcome) -> Table:
    """What was seen."""
    rotated = ", ".join(f"{place} {times}" for place, times in outcome.rotated.items())
    caption = f"{outcome.handshakes} handshakes, the slowest {outcome.slowest:.2f} s; rotated: {rotated}"
    table = Table("what happened", "times", title=f"two tokens with a replica each, by {ca}", caption=caption)
    for what, times in outcome.events.items():
        table.add_row(what, str(times))
    return table
