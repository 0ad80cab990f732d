"""Other secrets for all workers: kept first, served by everybody or by nobody."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.renewal import Renewal
from proxy.supervisor.standstill import Standstill
from tests.configurations import Site
from tests.fleets import edition_of


class Parent:
    """What is served, and what brings editions to a fleet without workers."""

    def __init__(self, edition: Edition) -> None:
        self.served = ServedEdition(edition)
        self.editing = asyncio.Lock()
        self.standstill = Standstill()
        self.steps: list[str] = []

    def changing(self) -> AbstractAsyncContextManager[None]:
        return self.standstill.moving(self.editing)

    def renewal(self) -> Renewal:
        parent: Any = self
        return Renewal(asyncio.get_running_loop(), parent, self.served, parent.commit)

    async def prepare(self, edition: Edition) -> Edition:
        assert self.editing.locked()
        self.steps.append("prepare")
        return edition

    async def commit(self, prepared: Edition) -> None:
        assert prepared is not self.served.edition
        self.steps.append("commit")
        self.served.edition = prepared

    async def abandon(self, prepared: Edition) -> None:
        assert prepared is not self.served.edition
        self.steps.append("abandon")


def changed(edition: Edition, number: int) -> Edition:
    return replace(edition, number=number)


async def test_it_is_kept_before_anybody_serves_by_it(site: Site) -> None:
    parent = Parent(edition_of(site, site.minimal))
    await parent.renewal()(changed, lambda edition: parent.steps.append(f"keep {edition.number}"))
    assert parent.steps == ["prepare", "keep 2", "commit"]
    assert parent.served.edition.number == 2


async def test_what_cannot_be_kept_is_served_by_nobody(site: Site) -> None:
    parent = Parent(edition_of(site, site.minimal))

    def full(_edition: Edition) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        await parent.renewal()(changed, full)
    assert parent.steps == ["prepare", "abandon"]
    assert parent.served.edition.number == 1
