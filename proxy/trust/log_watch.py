"""Reads logs of certificates, and reports those for our names that were not ordered here.

Theory of operation. The reading of a log begins at its end. Each look reads what has come since,
up to a limit, and keeps how far it came: so it goes on after a restart. A log that the list of logs
has must sign how large it is. Its entries are believed: who wants to know whether it shows all
clients the same has to compare it with others. A certificate is ours if its key is: only who has
the key can order it. What was ours at one look is so for good: keys go with the next renewal. The
key of a rotation that is in progress is not known yet, so a certificate counts as unknown after
some minutes.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from certs.files.errors import CredentialError
from certs.identities.chain_file import read_chain
from certs.rotation.facts import leaf_of
from certs.storage.disk import Disk
from certs.storage.shelf import ShelfDamaged
from certs.storage.store import store_of
from certs.transparency.entries import (
    TILE_ENTRIES,
    AnswerDamaged,
    certificates,
    tile_certificates,
    tile_path,
)
from certs.transparency.sightings import OurNames, Sighting, WatchMemory, decode_memory, key_digest, sighting
from certs.transparency.tree_heads import checkpoint_size, tree_size
from config.loading.loaded import LoadedConfig
from config.schema import CredentialConfig
from proxy.net.fetching import NotFetched, fetch
from proxy.net.in_thread import in_thread
from proxy.observe.events.certificates import LogNotRead
from proxy.observe.events.event import Tell
from proxy.observe.scrape import UnknownCertificate, WatchedLog
from proxy.trust.timestamp_check import LogListUnusable, known_logs, log_list_path

_MEMORY: Final = "ct.json"
_MOST_ENTRIES: Final = 20_000
"""Of one log in one look: 40 MB. The next look follows at once if there are more."""
_MOST_TIME: Final = timedelta(minutes=1)
"""For one log in one look: one that gives an entry at a time must not keep others waiting."""
_ANSWER_ENTRIES: Final = 1_000
"""Asked for at once. A log answers with fewer, as it likes."""
_SECONDS: Final = 30.0
_MOST_BYTES: Final = 16_777_216
_MOST_BYTES_OF_HEAD: Final = 65_536
_BEHIND_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 900.0
"""For rotations, which have ten minutes for an issuer."""
_IDLE_SECONDS: Final = 60.0
"""Between two looks whether a reload has brought logs."""


class LogWatch:
    """Runs for as long as the parent does."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        loaded: Callable[[], LoadedConfig],
        tell: Tell,
        now: Callable[[], datetime],
        most_entries: int = _MOST_ENTRIES,
    ) -> None:
        """`loaded` is the configuration that is served, `now` the clock in UTC. `most_entries` are
        read of one log in one look.
        """
        self._loop = loop
        self._loaded = loaded
        self._tell = tell
        self._now = now
        self._most_entries = most_entries
        self._faults: dict[str, str] = {}
        self._judged_at = float("-inf")
        self.logs: Sequence[WatchedLog] = ()
        self.unknown: Sequence[UnknownCertificate] = ()

    async def run(self) -> None:
        while True:
            ct = self._loaded().config.ct
            await self.look()
            seconds = _BEHIND_SECONDS if self._is_behind else ct.watch_every.total_seconds()
            await asyncio.sleep(seconds if ct.watch else _IDLE_SECONDS)

    @property
    def _is_behind(self) -> bool:
        return any(one.fault is None and one.read < one.size for one in self.logs)

    async def look(self) -> None:
        """Read what the logs have got, and judge it."""
        loaded = self._loaded()
        state = loaded.config.rotation.state
        if not loaded.config.ct.watch or state is None:  # the crosschecks want both
            self.logs = ()
            self.unknown = ()
            return
        path = loaded.file.named(state) / _MEMORY
        memory = await in_thread(self._loop, lambda: _remembered(path))
        before = {one.log: one for one in self.logs}
        ours = OurNames(_names(loaded))
        logs = []
        for log in loaded.config.ct.watch:
            reading = _ReadingLog(log, ours, memory.read.get(log), log_list_path(loaded), self._now)
            earlier = before.get(log) or WatchedLog(log, 0, size=memory.read.get(log, 0))
            reading.size = earlier.size
            try:
                await in_thread(self._loop, lambda one=reading: one.read(self._most_entries))  # type: ignore[misc]
                self._faults.pop(log, None)
            except (NotFetched, AnswerDamaged, LogListUnusable) as error:
                self._failed(log, str(error))
            if reading.read_to is not None:
                memory = memory.with_more(log, reading.read_to, reading.found, self._now())
            row = WatchedLog(log, memory.read.get(log, 0), reading.size)
            if log in self._faults:
                since = earlier.failing_since or self._now().timestamp()
                row = replace(row, fault=self._faults[log], failing_since=since)
            logs.append(row)
        self.logs = logs
        # our certificates may be thousands, and who is behind looks each second
        if memory.found and not (self._is_behind and self._loop.time() < self._judged_at + _IDLE_SECONDS):
            self._judged_at = self._loop.time()
            keys = await in_thread(self._loop, lambda: set(_our_keys(loaded)))
            memory = memory.without(keys)
        try:
            await in_thread(self._loop, lambda: _keep(path, memory))
        except OSError as error:
            self._failed(str(path), str(error))
        self.unknown = [
            UnknownCertificate(one.log, one.names, one.issuer, one.serial, one.not_after)
            for one in memory.found
            if one.serial not in loaded.config.ct.known_serials
            and self._now().timestamp() - one.seen_at >= _GRACE_SECONDS
        ]

    def _failed(self, log: str, fault: str) -> None:
        if self._faults.get(log) != fault:
            self._faults[log] = fault
            self._tell(LogNotRead(log, fault))


class _ReadingLog:
    """One look at one log. `read_to` is the number of its entries that are read."""

    def __init__(
        self, log: str, ours: OurNames, read_to: int | None, log_list: Path | None, now: Callable[[], datetime]
    ) -> None:
        """`read_to` is None for a log that was never read. `log_list` is the file with the keys of
        logs.
        """
        self._url = log if log.endswith("/") else f"{log}/"
        self._log = log
        self._ours = ours
        self._list = log_list
        self._now = now
        self.read_to = read_to
        self.size = 0
        self.found: list[Sighting] = []

    def read(self, most_entries: int) -> None:
        """Read on; blocks. After an error the next look goes on from `read_to`.

        Raises `NotFetched`, `AnswerDamaged` or `LogListUnusable`.
        """
        known = None if self._list is None else known_logs(self._list).at_address(self._url)
        is_tiled = False
        try:
            size = tree_size(self._fetch("ct/v1/get-sth", _MOST_BYTES_OF_HEAD), known, self._now())
        except NotFetched as error:
            try:
                size = checkpoint_size(self._fetch("checkpoint", _MOST_BYTES_OF_HEAD), known, self._now())
            except NotFetched:
                raise error from None
            is_tiled = True
        at = size if self.read_to is None else self.read_to
        if at > size:  # a log only grows (RFC 6962 section 3)
            raise AnswerDamaged(f"a tree of fewer entries than the {at} that were read")
        self.size = size
        self.read_to = at
        last = min(self.size, at + most_entries)
        end = self._now() + _MOST_TIME
        while at < last and self._now() < end:
            got = self._tile(at) if is_tiled else self._entries(at, last)
            for der in got:
                one = sighting(der, self._ours, self._log, self._now())
                self.found += [] if one is None else [one]
            at += len(got)
            self.read_to = at

    def _entries(self, start: int, end: int) -> list[bytes]:
        last = min(end, start + _ANSWER_ENTRIES) - 1
        most = last - start + 1
        got = certificates(self._fetch(f"ct/v1/get-entries?start={start}&end={last}", _MOST_BYTES), most)
        if not 0 < len(got) <= most:
            raise AnswerDamaged(f"{len(got)} entries where {most} at most were asked for")
        return got

    def _tile(self, start: int) -> list[bytes]:
        number, place = divmod(start, TILE_ENTRIES)
        entries = min(TILE_ENTRIES, self.size - number * TILE_ENTRIES)
        got = list(tile_certificates(self._fetch(tile_path(number, entries), _MOST_BYTES)))
        if len(got) != entries:
            raise AnswerDamaged(f"a tile of {len(got)} entries where {entries} belong")
        return got[place:]

    def _fetch(self, path: str, most_bytes: int) -> bytes:
        return fetch(self._url + path, most_bytes, _SECONDS)


def _names(loaded: LoadedConfig) -> Iterator[str]:
    for identity in loaded.config.identity.values():
        yield from identity.names


def _our_keys(loaded: LoadedConfig) -> Iterator[str]:
    """The digests of the keys of all certificates that are here, also of earlier versions."""
    for leaf in _our_leaves(loaded):
        yield key_digest(leaf)


def _our_leaves(loaded: LoadedConfig) -> Iterator[x509.Certificate]:
    store = store_of(loaded.file, loaded.config.rotation)
    for shelf in () if store is None else store.shelves():
        try:
            yield from map(leaf_of, shelf.versions())
        except (ShelfDamaged, OSError):
            continue  # another part says so
    for identity in loaded.config.identity.values():
        for one in identity.credentials:
            if isinstance(one, CredentialConfig):
                try:
                    yield read_chain(loaded.file.resolve(one.certificate))[0]
                except CredentialError:
                    continue


def _remembered(path: Path) -> WatchMemory:
    """What was kept; a memory that is gone or damaged begins again at the end of each log."""
    try:
        return decode_memory(path.read_bytes())
    except (OSError, ValueError):
        return WatchMemory({}, ())


def _keep(path: Path, memory: WatchMemory) -> None:
    disk = Disk()
    disk.make_directory(path.parent)
    disk.write(path, memory.encode())
