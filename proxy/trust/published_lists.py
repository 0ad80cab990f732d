"""The revocation lists of internal CAs: renewed in time, and shown by the listener without TLS."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

_LOOK_SECONDS: Final = 60.0
"""Between two looks at what is due, unless the file with the lists changes: a revocation does."""
_SECONDS: Final = 60.0
"""The limit for the signatures of the lists of one CA, and for their reading."""

Lists = Mapping[str, x509.CertificateRevocationList]
"""By address."""


class PublishedLists:
    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Tell, seconds: float = _SECONDS) -> None:
        """`seconds` bound the signatures of one CA, and the reading of its lists."""
        self._loop = loop
        self._seconds = seconds
        self._tell = tell
        self._known: dict[str, _Known] = {}
        self.show: Callable[[Mapping[str, bytes]], Awaitable[None]] = _unseen
        """Has all workers answer by exactly these lists in DER, by address without scheme and
        port."""
        self.facts: Sequence[RevocationFacts] = ()

    async def look_after(self, parts: Parts, busy: Container[str], ticks: float, *, renews: bool = True) -> None:
        """Renew what is due, unless another node does (`renews`), and show what has changed.

        Issuers that are `busy` with another call are left for the next look. `ticks` is the
        monotonic clock.
        """
        authorities = [one for one in parts.issuers.values() if isinstance(one, InternalAuthority)]
        before = self._known
        self._known = {one.name: before.get(one.name, _Known()) for one in authorities}
        for one in authorities:
            if one.name not in busy:
                await self._look_after(one, self._known[one.name], ticks, renews=renews)
        # without an address in certificates no client asks for a list
        named = {one.name for one in authorities if one.settings.crl_url is not None}
        self.facts = [fact for name, one in self._known.items() if name in named for fact in _facts(name, one)]
        shown = [_shown(one.settings.crl_url, self._known[one.name].lists) for one in authorities]
        await self.show({place: der for one in shown for place, der in one})

    async def _look_after(self, authority: InternalAuthority, known: "_Known", ticks: float, *, renews: bool) -> None:
        fault = None
        try:
            async with asyncio.timeout(self._seconds):
                stamp = await in_thread(self._loop, lambda: authority.lists_stamp)
                if stamp == known.stamp and ticks < known.again_at:
                    return  # the same as at the last look, which was a moment ago
                if renews and await in_thread(self._loop, authority.renew_lists):
                    self._tell(ListsPublished(authority.name))
        except (IssueFailed, TimeoutError) as error:
            fault = str(error) or f"it took longer than {self._seconds:g} s"
            if known.fault != fault:
                self._tell(ListsUnpublished(authority.name, fault))
        known.fault = fault
        known.again_at = ticks + _LOOK_SECONDS
        with contextlib.suppress(IssueFailed, TimeoutError):  # its reason is the one above
            async with asyncio.timeout(self._seconds):
                known.lists = await in_thread(self._loop, authority.published_lists)
                known.stamp = await in_thread(self._loop, lambda: authority.lists_stamp)


@dataclass(slots=True)
class _Known:
    """What the last look at a CA has found. `stamp` is that of the file with its lists."""

    lists: Lists = field(default_factory=dict)
    stamp: int = 0
    fault: str | None = None
    again_at: float = 0.0


async def _unseen(_lists: Mapping[str, bytes]) -> None:
    pass


def _facts(name: str, known: _Known) -> Iterator[RevocationFacts]:
    # of the list that is the first to expire
    spans = [(one.next_update_utc, one.last_update_utc) for one in known.lists.values()]
    ends = [(end.timestamp(), begin.timestamp()) for end, begin in spans if end is not None]
    if ends or known.fault is not None:
        end, begin = min(ends, default=(0.0, 0.0))
        yield RevocationFacts(name, begin, end, known.fault)


def _shown(address: str | None, lists: Lists) -> Iterator[tuple[str, bytes]]:
    """The newest intermediate's list stands at the address of the configuration too: certificates
    of earlier versions name that.
    """
    newest = [] if address is None else [(address, one) for one in list(lists.values())[:1]]
    for full, one in [*newest, *lists.items()]:
        parts = urlsplit(full)
        if parts.scheme == "http" and parts.hostname is not None:  # else for another server
            query = f"?{parts.query}" if parts.query else ""
            yield f"{parts.hostname}{parts.path or '/'}{query}", one.public_bytes(Encoding.DER)
