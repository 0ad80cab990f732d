"""The internal CAs of a fleet: copied as a whole to each node, and only the leader signs by itself.

A node that does not lead signs certificates for keys in its own tokens, with the intermediate that
is there. It has the leader make keys, and revoke.
"""

from collections.abc import Callable, Sequence
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.internal_ca.copying import copied, install, stamp
from certs.issuing.internal_ca.lists import StillWriting
from certs.issuing.issuer import IssueFailed, NotShared
from certs.keys.home import HomeFailed
from certs.rotation.parts import Parts
from certs.storage.shelf import ShelfDamaged
from proxy.net.in_thread import in_thread
from proxy.observe.events.certificates import AuthorityNotShared
from proxy.observe.events.event import Tell
from proxy.supervisor.membership.kinds.access import FleetAccess
from proxy.supervisor.membership.kinds.entries import Entries
from proxy.supervisor.membership.kinds.rows import AuthorityRow, RevocationRow
from proxy.supervisor.membership.places import AUTHORITIES
from proxy.supervisor.membership.shared_kind import SharedKind


class FleetAuthorities:
    def __init__(self, access: FleetAccess, tell: Tell, heard: Callable[[], None]) -> None:
        """`heard` is called after each change in the store."""
        self._access = access
        self._tell = tell
        self._entries = Entries(AUTHORITIES, AuthorityRow.read, heard, is_kept=True)
        self._revocations = Entries("revocations/", RevocationRow.read, heard)
        self._synced: dict[str, AuthorityRow] = {}
        """The internal CAs as this node has them on disk."""
        self._stamps: dict[str, object] = {}
        self._faults: dict[str, str] = {}
        """Why an internal CA could not be exchanged."""

    @property
    def kinds(self) -> Sequence[SharedKind]:
        return self._entries, self._revocations

    async def share(self, parts: Parts) -> bool:
        """Exchange all internal CAs. Tells whether this node has taken something."""
        has_taken = False
        for name, authority in parts.issuers.items():
            if isinstance(authority, InternalAuthority):
                try:
                    has_taken |= await self.share_one(name, authority, parts)
                except (HomeFailed, IssueFailed, NotShared, OSError, ShelfDamaged, StillWriting) as error:
                    self._failed(name, str(error))
                except (ValueError, KeyError, TypeError):
                    self._failed(name, "the store has what this Plexigate cannot read")
                else:
                    self._faults.pop(name, None)
        return has_taken

    async def share_one(self, name: str, authority: InternalAuthority, parts: Parts) -> bool:
        """Take an internal CA or, if this node leads, let the others have it. Tells whether it was
        taken. Raises `NotShared`, `IssueFailed` and as `copied` and `install`.
        """
        access = self._access
        authority.elsewhere = None if access.may_issue else lambda leaf: access.wait_for(self._ask(name, leaf))
        row = self._entries.values.get(name)
        if row is not None:
            authority.distrusted_until = row.distrusted_until
        if row is not None and row != self._synced.get(name):
            copy = row.copy
            await in_thread(access.loop, lambda: install(copy, authority, parts.homes, parts.store.disk))
            self._synced[name] = row
            return True
        if access.may_issue:
            asked = {place: one.leaf for place, one in self._revocations.values.items() if one.issuer == name}
            for leaf in asked.values():
                await in_thread(access.loop, partial(authority.revoke, leaf))
            await self._write(name, authority, parts, row)
            if asked:
                await access.write({self._revocations.prefix + place: None for place in asked}, as_leader=True)
        return False

    async def _write(self, name: str, authority: InternalAuthority, parts: Parts, row: AuthorityRow | None) -> None:
        access = self._access
        before = await in_thread(access.loop, lambda: stamp(authority))
        if before == self._stamps.get(name) and row is not None and row.epoch == access.epoch:
            return
        made = await in_thread(access.loop, lambda: copied(authority, parts.homes))
        if made is None:
            return
        distrusted = 0 if row is None else row.distrusted_until
        if row is not None and row.epoch < access.epoch:
            distrusted = max((one["number"] for one in row.copy["intermediate"]["versions"]), default=0)
        wanted = AuthorityRow(made, access.epoch, distrusted)
        self._synced[name] = wanted
        if wanted != row:
            await access.keep(self._entries, name, wanted, wanted.as_json())
        authority.distrusted_until = distrusted
        self._stamps[name] = before

    async def _ask(self, issuer: str, leaf: x509.Certificate) -> None:
        """Have the leader revoke a certificate. Raises `NotShared`."""
        row = RevocationRow(issuer, leaf.public_bytes(Encoding.PEM).decode())
        await self._access.write({f"{self._revocations.prefix}{leaf.serial_number:x}": row.as_json()})

    def _failed(self, issuer: str, detail: str) -> None:
        if self._faults.get(issuer) != detail:
            self._faults[issuer] = detail
            self._tell(AuthorityNotShared(issuer, detail))
