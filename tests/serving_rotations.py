"""Two workers that serve by what was issued, and the parent's side of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from certs.rotation.facts import leaf_of
from certs.storage.served import ServedFile, served_version
from certs.storage.shelf import StoredVersion
from proxy.observe.events.event import Event
from proxy.supervisor.control.inspection import Inspection
from proxy.supervisor.editions.edition import read_edition
from proxy.supervisor.editions.served_edition import ServedEdition
from tests.configurations import Site
from tests.rotations import Rotations, Time, configuration
from tests.workforces import SECRETS, RunningWorkforce, workforce


@dataclass
class Serving:
    """A workforce that serves by what a rotation scene has issued, and the parent of it."""

    scene: Rotations
    running: RunningWorkforce
    decisions: list[int] = field(default_factory=list)

    def tell(self, event: Event) -> None:
        """Note it."""
        self.running.parent.tell(event)

    async def swap(self, files: Mapping[Path, ServedFile], decide: Callable[[], None]) -> None:
        """Serve by another version."""
        await self.running.changeover.swap(files, decide)

    @property
    def served(self) -> ServedEdition:
        """What is served."""
        return self.running.served

    @property
    def inspection(self) -> Inspection:
        """What looks at workers."""
        return Inspection(asyncio.get_running_loop(), self.running.workforce, self.served)

    def files(self, version: StoredVersion) -> dict[Path, ServedFile]:
        """What workers get of a version."""
        parts = self.scene.parts
        return served_version(self.scene.shelf(), version, parts.homes, parts.store.directory)

    def deciding(self, version: StoredVersion) -> Callable[[], None]:
        """Notes that it was decided."""
        return lambda: self.decisions.append(version.number)

    async def shown(self) -> set[tuple[int, str, str | None]]:
        """What each worker shows."""
        rows = await self.inspection.of("chat")
        assert rows is not None
        return {(row["worker"], row["serial"], row["fault"]) for row in rows}


def shown_by_both(version: StoredVersion) -> set[tuple[int, str, str | None]]:
    """What two workers show that serve by it."""
    serial = f"{leaf_of(version).serial_number:x}"
    return {(0, serial, None), (1, serial, None)}


@asynccontextmanager
async def serving(directory: Path, *keys: str) -> AsyncIterator[Serving]:
    """Run one; the first credential was issued."""
    (directory / "site").mkdir()
    site = Site.make(directory / "site")
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - OpenSSL has a clock of its own
    scene = Rotations(directory, configuration(*keys), Time(now), workers=2)
    scene.serve()
    async with workforce(site, directory, "") as running:
        edition = read_edition(scene.file, 1, SECRETS, now)
        await running.use(edition)
        await running.settled()
        yield Serving(scene, running)
