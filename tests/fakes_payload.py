"""A parent around the rings of payload encryption: its edition is real, its workers are what the test says."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from config.values.problems import ConfigError, Problem
from proxy.observe.events.event import Event
from proxy.processes.messages.answers import RingUse, RingUses
from proxy.processes.messages.questions import TakeRingUses
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.payload_rotation import PayloadRotation
from proxy.supervisor.secrets.payload_store import PayloadStore, payload_directory
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from tests.configurations import MINIMAL_LISTENER, Site
from tests.workforces import edition_of

if TYPE_CHECKING:
    from proxy.payload.keys.payload_keys import PayloadKeys

RINGS = """
[payload]
directory = "{directory}"
[payload.ring.chat]
rotate_after = "1h"
quota = 100
overlap = 1
[payload.sessions]
rotate_after = "2h"
"""
REST = """
[upstream.chat]
servers = ["http://127.0.0.1:1"]
[[route]]
host = "chat.test"
upstream = "chat"
payload = "require"
payload_ring = "chat"
payload_sessions = true
"""


def sealed_edition(site: Site, name: str) -> Edition:
    """An edition with a ring and sessions, whose rings rest in a directory of this name."""
    text = MINIMAL_LISTENER + site.identity + RINGS.format(directory=name) + REST
    return edition_of(site, text, name=f"{name}.toml")


class FakeWorkers:
    """What a workforce answers about uses."""

    def __init__(self) -> None:
        self.editing = asyncio.Lock()
        self.uses: list[tuple[str, int, int]] = []
        """What the next collection brings, from each of two workers."""

    async def ask_all(self, question: TakeRingUses, seconds: float) -> dict[object, RingUses | None]:
        """Answer as two workers, beside one that is silent."""
        assert (question, seconds > 0) == (TakeRingUses(), True)
        uses, self.uses = RingUses(tuple(RingUse(*one) for one in self.uses)), []
        return {object(): uses, object(): None, object(): uses}


class FakeParent:
    """What rings are kept by; `renew` does as that of a `Changeover`."""

    def __init__(self, edition: Edition) -> None:
        self.served = ServedEdition(edition)
        self.safe = Safe(now_in_utc)
        self.workers = FakeWorkers()
        self.workforce: Any = self.workers
        self.told: list[dict[str, Any]] = []
        self.brought: list[PayloadKeys] = []
        """What workers were brought, one after the other."""
        self.good_for: int | None = None
        """How many more editions the workers can prepare; None: any."""

    @property
    def edition(self) -> Edition:
        """What is served."""
        return self.served.edition

    @edition.setter
    def edition(self, edition: Edition) -> None:
        self.served.edition = edition

    async def renew(self, change: Callable[[Edition, int], Edition], keep: Callable[[Edition], None]) -> None:
        """Serve by it."""
        edition = change(self.edition, self.edition.number + 1)
        if self.good_for is not None:
            if not self.good_for:
                raise ConfigError([Problem("f", "", "a worker that ended", "one that lives")])
            self.good_for -= 1
        keep(edition)
        self.edition = edition
        self.brought.append(edition.payload)

    @property
    def on_disk(self) -> PayloadStore:
        """What the next process would read."""
        loaded = self.edition.loaded
        directory = payload_directory(loaded.file, loaded.config.payload, loaded.config.sealing)
        return PayloadStore.open(directory, self.safe.vault(loaded))

    def rotation(self, clock: Callable[[], float]) -> PayloadRotation:
        """What keeps the rings of this parent."""
        loop, served, workforce = asyncio.get_running_loop(), self.served, self.workforce
        return PayloadRotation(loop, served, workforce, self.renew, self.safe, self.tell, clock)

    def tell(self, event: Event) -> None:
        """Remember it."""
        self.told.append(event.as_json())
