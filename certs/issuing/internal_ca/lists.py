"""The revocation lists of an internal CA: what is revoked, and the lists that are published.

Theory of operation. Each intermediate has a list of its own, also when nothing was revoked: a
client that looks for one refuses a certificate without it. A call that takes too long is given up,
and may go on later, when a disk or a token answers again. So who writes has the lock of the
directory from the first read on: what is written is never older than what is there.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.files.directory import OpenDirectory
from certs.files.file_lock import lock_within
from certs.identities.revocation_list import ListUnusable, pem_lists, read_list
from certs.issuing.internal_ca.profiles import IssuerKey
from certs.issuing.internal_ca.revocations import (
    Revocation,
    encode,
    is_current,
    is_fresh,
    next_number,
    parse,
    revocation_list,
)
from certs.issuing.issuer import FailureKind, IssueFailed
from certs.keys.home import HomeFailed, Homes
from certs.storage.disk import Disk
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion

REVOKED: Final = "revoked.json"
LIST: Final = "crl.pem"
_PATIENCE_SECONDS: Final = 0.5
"""An issuer has one call at a time: another one that writes was given up."""
_ByIssuer = Mapping[x509.Name, x509.CertificateRevocationList]


class StillWriting(Exception):
    """A call that was given up is not over."""

    def __str__(self) -> str:
        return "an earlier call still writes the revocation lists: the disk or the token of the CA is slow"


class RevocationLists:
    """Methods raise `HomeFailed`, `OSError`, `ShelfDamaged` and `RevocationsDamaged`; those that
    write also `StillWriting`.
    """

    def __init__(
        self, directory: Path, intermediates: Shelf, homes: Homes, disk: Disk, now: Callable[[], datetime]
    ) -> None:
        """`directory` is that of the CA. `now` is the clock, in UTC."""
        self._directory = directory
        self._intermediates = intermediates
        self._homes = homes
        self._disk = disk
        self._now = now

    def revoke(self, leaf: x509.Certificate) -> None:
        """Publish lists with a certificate. Raises `IssueFailed` if no list has it then."""
        now = self._now()
        entry = Revocation(leaf.serial_number, leaf.issuer.rfc4514_string(), now, leaf.not_valid_after_utc)
        self._disk.make_directory(self._directory)
        with writing_alone(self._directory):
            known = [one for one in self._revocations() if one.serial != entry.serial and one.not_after > now]
            self._disk.write(self._directory / REVOKED, encode([*known, entry]))
            fault = self._publish({})
        own = self._published().get(leaf.issuer)
        if entry.not_after > now and (
            own is None or own.get_revoked_certificate_by_serial_number(leaf.serial_number) is None
        ):
            raise fault or IssueFailed(FailureKind.PERMANENT, f"no key is here that signs the list of {entry.issuer}")

    def require(self, issuer: x509.Name) -> None:
        """Renew what is due. What goes wrong is raised only if this issuer has no current list."""
        fault: HomeFailed | StillWriting | None
        try:
            _, fault = self.renew()
        except StillWriting as error:
            fault = error
        if fault is not None and not is_current(self._published().get(issuer), self._now()):
            raise fault

    def renew(self) -> tuple[bool, HomeFailed | None]:
        """Publish new lists if one is missing, or is at half of its life. Tells whether one was,
        and why one could not be made.
        """
        now = self._now()
        published = self._published()
        fresh = _fresh(published, now)
        if all(certificate_of(one).subject in fresh for one in self._signers(now, published)):
            return False, None
        with writing_alone(self._directory):
            return True, self._publish(_fresh(self._published(), now))

    def made_now(self) -> bytes:
        """The lists of every intermediate that is valid, in PEM; they are not published."""
        lists, fault = self._lists({})
        if fault is not None:
            raise fault
        return b"".join(one.public_bytes(Encoding.PEM) for one in lists)

    @property
    def stamp(self) -> int:
        """Changes with what is published; 0 if nothing is."""
        try:
            return (self._directory / LIST).stat().st_mtime_ns
        except OSError:
            return 0

    def by_number(self) -> Mapping[int, x509.CertificateRevocationList]:
        """The published lists by the numbers of the intermediates, the newest first."""
        published = self._published()
        named = [(one.number, certificate_of(one).subject) for one in self._signers(self._now(), published)]
        return {number: published[name] for number, name in named if name in published}

    def _publish(self, kept: _ByIssuer) -> HomeFailed | None:
        """Write the lists as `_lists` has them."""
        lists, fault = self._lists(kept)
        self._disk.write(self._directory / LIST, b"".join(one.public_bytes(Encoding.PEM) for one in lists))
        return fault

    def _lists(self, kept: _ByIssuer) -> tuple[list[x509.CertificateRevocationList], HomeFailed | None]:
        """Those that are `kept`, and else new ones; instead of one that could not be made the
        previous one, and the reason.
        """
        now = self._now()
        revocations = self._revocations()
        before = self._published()
        lists = []
        fault = None
        for version in self._signers(now, before):
            name = certificate_of(version).subject
            earlier = before.get(name)
            if name in kept:
                lists.append(kept[name])
                continue
            try:
                signer = issuer_key(self._intermediates, version, self._homes)
                lists.append(revocation_list(signer, revocations, next_number(earlier, now), now))
            except HomeFailed as error:
                fault = error
                lists += [] if earlier is None else [earlier]
        return lists, fault

    def _signers(self, now: datetime, published: _ByIssuer) -> list[StoredVersion]:
        """The intermediates that sign lists, the newest first.

        One whose key is at a place that the configuration lacks is among them until its list
        expires: nothing can renew that.
        """
        valid = [
            (one, certificate_of(one).subject)
            for one in self._intermediates.versions()
            if one.has_key and certificate_of(one).not_valid_after_utc > now
        ]
        return [one for one, name in valid if one.spec.place in self._homes or is_current(published.get(name), now)]

    def _published(self) -> _ByIssuer:
        try:
            lists = [read_list(block) for block in pem_lists((self._directory / LIST).read_bytes())]
        except (FileNotFoundError, ListUnusable):
            return {}  # a damaged file is written again
        return {one.issuer: one for one in lists}

    def _revocations(self) -> tuple[Revocation, ...]:
        try:
            return parse((self._directory / REVOKED).read_bytes())
        except FileNotFoundError:
            return ()


@contextmanager
def writing_alone(path: Path) -> Iterator[None]:
    """Hold the directory of a CA. Raises `StillWriting` or `OSError`."""
    with OpenDirectory.at(path) as directory:
        if not lock_within(directory.descriptor, _PATIENCE_SECONDS):
            raise StillWriting
        yield


def _fresh(published: _ByIssuer, now: datetime) -> _ByIssuer:
    return {name: one for name, one in published.items() if is_fresh(one, now)}


def issuer_key(shelf: Shelf, version: StoredVersion, homes: Homes) -> IssuerKey:
    """The certificate and the key of an intermediate."""
    name = shelf.key_name(version.number, version.spec)
    home = homes.get(version.spec.place)
    if home is None:
        raise HomeFailed(version.spec.place, "the configuration has no such place")
    key = home.signer(name, version.kept_path.read_bytes())
    return IssuerKey(certificate_of(version), key)


def certificate_of(version: StoredVersion) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(version.chain_path.read_bytes())
    except ValueError:
        raise ShelfDamaged(version.chain_path, "not a certificate in PEM") from None
