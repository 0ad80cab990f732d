"""Fetches the revocation lists of clients' authorities, so that they are new in all workers.

Theory of operation. A list is verified before it is taken: an authority of `ca` has signed it, and
it is not older than the one of the same scope that is here. Of several scopes, such as those of two
authorities, an address keeps a list of each: a list of one must not remove that of another. So who
can change what comes over the network can only keep newer lists away. A new list comes into service
as new secrets do, without a reload: what an operator has changed in the configuration meanwhile
waits for the operator. It is on disk before a worker serves by it, and so a start without the
network knows it too.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.files.errors import CredentialError
from certs.identities.chain_file import read_chain
from certs.identities.client_authorities import LARGEST_LISTS, fetched_path
from certs.identities.revocation_list import ListUnusable, fetched_list, newest_lists, pem_lists
from certs.storage.disk import Disk
from config.loading.loaded import LoadedConfig
from config.loading.reading import FileContent
from config.tables.client_certificates import ClientCertificatesConfig
from config.values.problems import ConfigError
from proxy.net.fetching import NotFetched, fetch
from proxy.net.in_thread import in_thread
from proxy.observe.events.clients import ListFetched, ListNotFetched
from proxy.observe.events.event import Tell
from proxy.observe.scrape import RevocationFacts
from proxy.processes.material import Material
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.changeover import Renew

_LOOK_SECONDS: Final = 5.0
"""Between two looks for what is due: a reload brings new addresses."""
_LEAST_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 300.0
_FETCH_SECONDS: Final = 30.0
_LIST_MODE: Final = 0o600


class FetchedLists:
    """Runs for as long as the parent does."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        renew: Renew,
        served: ServedEdition,
        tell: Tell,
        ticks: Callable[[], float],
        wall: Callable[[], datetime],
    ) -> None:
        self._loop = loop
        self._renew = renew
        self._served = served
        self._tell = tell
        self._ticks = ticks
        self._wall = wall
        self._due_at: dict[str, float] = {}
        self._faults: dict[str, str] = {}
        """Why the latest try failed, by address."""

    async def run(self) -> None:
        while True:
            await self.look()
            next_at = min(self._due_at.values(), default=float("inf"))
            await asyncio.sleep(min(_LOOK_SECONDS, max(_LEAST_SECONDS, next_at - self._ticks())))

    def facts(self, revocations: Sequence[RevocationFacts]) -> list[RevocationFacts]:
        """The facts of the lists of identities, with the reason why there is no newer one.

        Without one that has no list yet, as not all of its addresses were asked.
        """
        wanted = self._wanted()
        unasked = {name for address, names in wanted.items() if address not in self._due_at for name in names}
        faults = {
            name: f"{address}: {fault}" for address, fault in self._faults.items() for name in wanted.get(address, {})
        }
        known = [one for one in revocations if one.expires_at != 0 or one.name not in unasked]
        return [replace(one, fault=faults.get(one.name)) for one in known]

    async def look(self) -> None:
        """Fetch what is due, and serve by what is new."""
        wanted = self._wanted()
        self._due_at = {address: at for address, at in self._due_at.items() if address in wanted}
        self._faults = {address: fault for address, fault in self._faults.items() if address in wanted}
        due = [address for address in wanted if self._due_at.get(address, 0.0) <= self._ticks()]
        loaded = self._served.edition.loaded
        async with asyncio.TaskGroup() as together:  # a server that hangs delays no other list
            for address in due:
                together.create_task(self._look_at(loaded, address, tuple(wanted[address].values())))

    def _wanted(self) -> dict[str, dict[str, ClientCertificatesConfig]]:
        """By address: who looks at the list, by the names of the identities."""
        wanted: dict[str, dict[str, ClientCertificatesConfig]] = {}
        for name, identity in self._served.edition.loaded.config.identity.items():
            if (settings := identity.client_certificates) is not None:
                for address in settings.crl_url:
                    wanted.setdefault(address, {})[name] = settings
        return wanted

    async def _look_at(self, loaded: LoadedConfig, address: str, settings: Sequence[ClientCertificatesConfig]) -> None:
        refresh = min(one.crl_refresh for one in settings).total_seconds()
        try:
            await self._fetch(loaded, address, settings)
        except (NotFetched, ListUnusable, CredentialError, ConfigError, OSError) as error:
            refresh = min(refresh, _RETRY_SECONDS)
            fault = error.reason if isinstance(error, NotFetched) else str(error)
            self._failed(address, fault or f"it took longer than {2 * _FETCH_SECONDS:g} s")
        else:
            self._faults.pop(address, None)
        self._due_at[address] = self._ticks() + refresh

    async def _fetch(self, loaded: LoadedConfig, address: str, settings: Sequence[ClientCertificatesConfig]) -> None:
        state = loaded.config.rotation.state
        assert state is not None  # ensured by the crosschecks
        path = fetched_path(loaded.file.named(state), address)
        paths = [loaded.file.resolve(one.ca) for one in settings]
        now = self._wall()
        async with asyncio.timeout(2 * _FETCH_SECONDS):  # `fetch` does not bound the look-up of the name
            found = await in_thread(self._loop, lambda: _newer(address, path, paths, now))
        if found is None:
            return
        new, content = found
        material = Material({str(path): FileContent(_LIST_MODE, content)})

        def keep(_edition: object) -> None:
            disk = Disk()
            disk.make_directory(path.parent)
            disk.write(path, content)

        await self._renew(lambda edition, number: edition.with_made(number, material), keep)
        until = new.next_update_utc
        assert until is not None  # `fetched_list`
        self._tell(ListFetched(address, until.isoformat(), len(new)))

    def _failed(self, address: str, fault: str) -> None:
        if self._faults.get(address) != fault:
            self._faults[address] = fault
            self._tell(ListNotFetched(address, fault))


def _newer(
    address: str, path: Path, authorities: Sequence[Path], now: datetime
) -> tuple[x509.CertificateRevocationList, bytes] | None:
    """The list, and what is to be kept with it; None if it is here. Raises what
    `FetchedLists.look` catches.
    """
    known = [certificate for one in authorities for certificate in read_chain(one)]
    new = fetched_list(fetch(address, LARGEST_LISTS, _FETCH_SECONDS), known)
    if new.last_update_utc > now:  # OpenSSL would refuse all clients until then
        raise ListUnusable(f"it is current only from {new.last_update_utc:%Y-%m-%d %H:%M} UTC")
    present = b""
    with suppress(OSError):
        present = path.read_bytes()
    kept = [one for scope in newest_lists([*_usable(present, known), new], known, now) for one in scope]
    if new not in kept:
        raise ListUnusable(f"it is of {new.last_update_utc:%Y-%m-%d %H:%M} UTC, not newer than the one that is here")
    content = b"".join(one.public_bytes(Encoding.PEM) for one in kept)
    return None if content == present else (new, content)


def _usable(content: bytes, authorities: Sequence[x509.Certificate]) -> Iterator[x509.CertificateRevocationList]:
    for block in pem_lists(content) or [content]:
        with suppress(ListUnusable):  # such as that of an authority which is gone from `ca`
            yield fetched_list(block, authorities)
