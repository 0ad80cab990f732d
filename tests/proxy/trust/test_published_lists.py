"""Lists of internal CAs: renewed in time, shown where certificates say, and told of when they are not."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from certs.keys.home import HomeFailed
from proxy.observe.events.event import Event
from proxy.observe.scrape import RevocationFacts
from proxy.trust.published_lists import PublishedLists
from tests.certs.authority import DAY, NOW
from tests.certs.fake_token import FakeToken
from tests.certs.issuing.internal_ca.test_authority import Clock, authority, issued
from tests.rotations import Rotations


class Shown:
    """A proxy that shows lists; `events` are what is logged."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.clock = Clock()
        self.token = FakeToken()
        self.issuer = authority(directory / "ca", self.clock, self.token, **settings)
        self.parts = replace(Rotations(directory / "r").parts, issuers={"internal": self.issuer})
        self.shown: Mapping[str, bytes] = {}
        self.ticks = 1_000.0
        self.events: list[tuple[str, str]] = []
        self.lists = PublishedLists(asyncio.get_running_loop(), self._tell)
        self.lists.show = self._show

    def _tell(self, event: Event) -> None:
        self.events.append((event.event, event.sentence()))

    async def _show(self, lists: Mapping[str, bytes]) -> None:
        self.shown = lists

    async def look(self, *busy: str, seconds: float = 60.0) -> None:
        """Look again after so much time."""
        self.ticks += seconds
        await self.lists.look_after(self.parts, busy, self.ticks)


async def test_an_empty_list_is_shown_from_the_first_certificate_on(tmp_path: Path) -> None:
    shown = Shown(tmp_path, crl_url="http://CA.test:8080/a.crl")
    await shown.look()
    assert (shown.shown, shown.lists.facts, shown.events) == ({}, [], [])
    intermediate = issued(shown.issuer)[1]
    await shown.look()
    assert set(shown.shown) == {"ca.test/a.crl?1", "ca.test/a.crl"}
    for der in shown.shown.values():
        found = x509.load_der_x509_crl(der)
        assert found.is_signature_valid(intermediate.public_key())  # type: ignore[arg-type]
    assert shown.lists.facts == [RevocationFacts("internal", NOW.timestamp(), (NOW + 7 * DAY).timestamp())]


async def test_a_list_never_expires_while_the_proxy_runs(tmp_path: Path) -> None:
    shown = Shown(tmp_path, crl_url="http://ca.test/")
    issued(shown.issuer)
    for day in range(30):
        shown.clock.now = NOW + day * DAY
        await shown.look()
        found = x509.load_der_x509_crl(shown.shown["ca.test/?1"])
        assert found.next_update_utc is not None
        assert found.next_update_utc >= shown.clock.now + 3 * DAY
    assert shown.events == [("lists_published", "issuer internal has renewed its revocation lists")] * 7


async def test_a_revoked_certificate_is_on_what_is_shown_next(tmp_path: Path) -> None:
    shown = Shown(tmp_path, crl_url="http://ca.test/a.crl?x=1")
    leaf = issued(shown.issuer)[0]
    await shown.look()
    shown.issuer.revoke(leaf)
    await shown.look(seconds=0.1)
    assert set(shown.shown) == {"ca.test/a.crl?x=1&1", "ca.test/a.crl?x=1"}
    (entry,) = x509.load_der_x509_crl(shown.shown["ca.test/a.crl?x=1"])
    assert entry.serial_number == leaf.serial_number


@pytest.mark.parametrize("settings", [{"crl_url": "https://ca.test/a.crl"}, {}])
async def test_what_others_show_is_renewed_and_not_shown(tmp_path: Path, settings: Mapping[str, Any]) -> None:
    shown = Shown(tmp_path, **settings)
    issued(shown.issuer)
    await shown.look()
    assert shown.shown == {}
    assert len(shown.issuer.published_lists()) == 1
    assert len(shown.lists.facts) == len(settings), "no client asks for a list that no certificate names"


async def test_what_cannot_be_renewed_is_told_once_and_still_shown(tmp_path: Path) -> None:
    shown = Shown(tmp_path, crl_url="http://ca.test/", key="ec-p256@plexi")
    issued(shown.issuer)
    await shown.look()
    before = shown.shown
    shown.clock.now = NOW + 4 * DAY
    shown.token.error = HomeFailed("plexi", "the token is gone")
    await shown.look()
    await shown.look()
    assert shown.shown == before
    (told,) = shown.events
    assert told == ("lists_not_published", f"issuer internal could not renew its revocation lists: {shown.token.error}")
    (fact,) = shown.lists.facts
    assert fact.fault == str(shown.token.error)
    shown.token.error = None
    await shown.look()
    assert [name for name, _ in shown.events] == ["lists_not_published", "lists_published"]
    assert [one.fault for one in shown.lists.facts] == [None]


async def test_a_list_that_never_was_there_is_told_too(tmp_path: Path) -> None:
    shown = Shown(tmp_path, key="ec-p256@plexi", crl_url="http://ca.test/")
    issued(shown.issuer)
    (shown.issuer.directory / "crl.pem").unlink()
    shown.token.error = HomeFailed("plexi", "the token is gone")
    await shown.look()
    assert shown.lists.facts == [RevocationFacts("internal", 0.0, 0.0, str(shown.token.error))]


async def test_an_issuer_with_another_call_keeps_what_is_shown(tmp_path: Path) -> None:
    shown = Shown(tmp_path, crl_url="http://ca.test/")
    issued(shown.issuer)
    await shown.look()
    before = shown.shown
    shown.clock.now = NOW + 4 * DAY
    await shown.look("internal")
    assert shown.shown == before
    assert len(shown.lists.facts) == 1
    await shown.look()
    assert shown.shown != before


async def test_a_disk_that_hangs_stops_nothing_else(tmp_path: Path) -> None:
    shown = Shown(tmp_path, crl_url="http://ca.test/")
    issued(shown.issuer)
    await shown.look()
    shown.lists = PublishedLists(asyncio.get_running_loop(), shown._tell, 0.2)
    shown.lists.show = shown._show
    fifo = shown.issuer.directory / "crl.pem"
    fifo.unlink()
    os.mkfifo(fifo)  # whoever opens it waits
    try:
        async with asyncio.timeout(30):
            await shown.look()
    finally:
        os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))
    assert [name for name, _ in shown.events] == ["lists_not_published"]
    assert shown.lists.facts == [RevocationFacts("internal", 0.0, 0.0, "it took longer than 0.2 s")]


async def test_what_is_gone_from_the_configuration_is_not_shown(tmp_path: Path) -> None:
    shown = Shown(tmp_path, crl_url="http://ca.test/")
    issued(shown.issuer)
    await shown.look()
    shown.parts = replace(shown.parts, issuers={})
    await shown.look()
    assert (shown.shown, shown.lists.facts) == ({}, [])
