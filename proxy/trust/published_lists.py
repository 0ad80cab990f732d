"""The revocation lists of internal CAs: renewed in time, and shown by the listener without TLS."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.issuer import IssueFailed
from certs.rotation.parts import Parts
from proxy.net.in_thread import in_thread
from proxy.observe.events.certificates import ListsPublished, ListsUnpublished
from proxy.observe.events.event import Tell
from proxy.observe.scrape import RevocationFacts

_SECONDS: Final = 60.0
"""The limit for the signatures of the lists of one CA."""

Lists = Mapping[str, x509.CertificateRevocationList]
"""By address."""


class PublishedLists:
    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Tell) -> None:
        self._loop = loop
        self._tell = tell
        self._faults: dict[str, str] = {}
        self.show: Callable[[Mapping[str, bytes]], Awaitable[None]] = _unseen
        """Has all workers answer by exactly these lists in DER, by address without scheme and
        port."""
        self.facts: Sequence[RevocationFacts] = ()

    async def look_after(self, parts: Parts) -> None:
        """Renew what is due, and show it. No issuer may have another call meanwhile."""
        authorities = [one for one in parts.issuers.values() if isinstance(one, InternalAuthority)]
        found = {one.name: await self._renewed(one) for one in authorities}
        self._faults = {name: fault for name, fault in self._faults.items() if name in found}
        self.facts = [fact for name, lists in found.items() for fact in _facts(name, lists, self._faults.get(name))]
        await self.show({place: der for lists in found.values() for place, der in _shown(lists)})

    async def _renewed(self, authority: InternalAuthority) -> Lists:
        name = authority.name
        try:
            async with asyncio.timeout(_SECONDS):
                if await in_thread(self._loop, authority.renew_lists):
                    self._tell(ListsPublished(name))
            self._faults.pop(name, None)
        except (IssueFailed, TimeoutError) as error:
            fault = str(error) or f"it took longer than {_SECONDS:g} s"
            if self._faults.get(name) != fault:
                self._faults[name] = fault
                self._tell(ListsUnpublished(name, fault))
        try:
            return await in_thread(self._loop, authority.published_lists)
        except IssueFailed:
            return {}  # its reason is the one above


async def _unseen(_lists: Mapping[str, bytes]) -> None:
    pass


def _facts(name: str, lists: Lists, fault: str | None) -> Iterator[RevocationFacts]:
    # of the list that is the first to expire
    spans = [(one.next_update_utc, one.last_update_utc) for one in lists.values()]
    ends = [(end.timestamp(), begin.timestamp()) for end, begin in spans if end is not None]
    if ends:
        end, begin = min(ends)
        yield RevocationFacts(name, begin, end, fault)


def _shown(lists: Lists) -> Iterator[tuple[str, bytes]]:
    """The newest intermediate's list stands at the address of the configuration too: certificates
    of earlier versions name that.
    """
    newest = True
    for address, one in lists.items():
        parts = urlsplit(address)
        if parts.scheme != "http" or parts.hostname is None:
            continue  # for another server
        content = one.public_bytes(Encoding.DER)
        path = parts.path or "/"
        yield f"{parts.hostname}{path}?{parts.query}", content
        if newest:
            rest, _, _ = parts.query.rpartition("&")
            yield f"{parts.hostname}{path}" + (f"?{rest}" if rest else ""), content
        newest = False
