"""Other secrets for all workers: kept first, served by everybody or by nobody."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.reloads.renewal import Renewal
from tests.configurations import Site
from tests.fleets import edition_of


class Parent:
    """Whoever knows what is served, a fleet without workers, and what brings editions to it."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self.editing = asyncio.Lock()
        self.steps: list[str] = []

    def next_number(self) -> int:
        return self.edition.number + 1

    def served(self, prepared: Any) -> None:
        self.edition = prepared

    async def prepare(self, edition: Edition) -> Edition:
        assert self.editing.locked()
        self.steps.append("prepare")
        return edition

    async def commit(self, prepared: Edition) -> None:
        assert prepared is not self.edition
        self.steps.append("commit")

    async def abandon(self, prepared: Edition) -> None:
        assert prepared is not self.edition
        self.steps.append("abandon")


def changed(edition: Edition, number: int) -> Edition:
    return replace(edition, number=number)


async def test_it_is_kept_before_anybody_serves_by_it(site: Site) -> None:
    parent: Any = Parent(edition_of(site, site.minimal))
    renew = Renewal(asyncio.get_running_loop(), parent, parent, parent)
    await renew(changed, lambda edition: parent.steps.append(f"keep {edition.number}"))
    assert parent.steps == ["prepare", "keep 2", "commit"]
    assert parent.edition.number == 2


async def test_what_cannot_be_kept_is_served_by_nobody(site: Site) -> None:
    parent: Any = Parent(edition_of(site, site.minimal))

    def full(_edition: Edition) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        await Renewal(asyncio.get_running_loop(), parent, parent, parent)(changed, full)
    assert parent.steps == ["prepare", "abandon"]
    assert parent.edition.number == 1
