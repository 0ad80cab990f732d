"""The internal authority as an `Issuer`.

Theory of operation. Root and intermediate are shelves of the store, so each is stored completely or
not at all. The root is made once. Its key only signs intermediates, so it may be moved away between
two of them. The intermediate is replaced when a third of its life is left, or less than two lives
of a certificate, or when its key or names changed in the configuration. The previous one stays
valid, and its key is kept as long as it may have to sign revocation lists. Each intermediate has a
list of its own, also when nothing was revoked: a client that looks for one refuses a certificate
without it.
"""

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from certs.homes.software_homes import FileHome
from certs.identities.chain import extension_of
from certs.identities.revocation_list import ListUnusable, pem_lists, read_list
from certs.issuing.internal_ca.names import is_permitted, name_constraints
from certs.issuing.internal_ca.profiles import (
    IssuerKey,
    intermediate_certificate,
    root_certificate,
    server_certificate,
)
from certs.issuing.internal_ca.revocations import (
    Revocation,
    RevocationsDamaged,
    encode,
    is_current,
    is_fresh,
    list_address,
    next_number,
    parse,
    revocation_list,
)
from certs.issuing.issuer import FailureKind, Issued, IssueFailed, IssueRequest, RenewalWindow
from certs.keys.generating import ALGORITHMS
from certs.keys.home import HomeFailed, Homes
from certs.keys.signing_key import KeyAlgorithm, algorithm_of, supported_public_key
from certs.storage.intent import Intent
from certs.storage.ledger import Retirement
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion
from certs.storage.store import Store, root_directory
from config.tables.rotation import InternalIssuerConfig, KeySpec

_SIGNED: Final = frozenset(ALGORITHMS.values())
_NEVER: Final = timedelta(days=36_500)  # until a root's key is taken away by hand
_REVOKED: Final = "revoked.json"
_LIST: Final = "crl.pem"
_ByIssuer = Mapping[x509.Name, x509.CertificateRevocationList]


def root_identity(name: str) -> str:
    """The identity in the label of the root's key in a token: the longest of its names."""
    return f"ca.{name}.root"


class InternalAuthority:
    """An `Issuer` whose root is made here. `now` is the clock, in UTC."""

    def __init__(
        self,
        name: str,
        settings: InternalIssuerConfig,
        store: Store,
        homes: Homes,
        root_key: Path | None,
        now: Callable[[], datetime],
    ) -> None:
        """`root_key` is the file that the root's key was moved to."""
        self._name = name
        self.settings: Final = settings
        self._homes = homes
        self._root_key = root_key
        self._now = now
        self._disk = store.disk
        root = root_directory(store.directory, name)
        self.directory: Final = root.parent
        self.root_shelf: Final = Shelf(root, root_identity(name), "root", store.disk, store.told)
        self.intermediate_shelf: Final = Shelf(
            self.directory / "intermediate", f"ca.{name}", "intermediate", store.disk, store.told
        )

    # -- the seam

    @property
    def name(self) -> str:
        """NAME in the configuration."""
        return self._name

    @property
    def permitted_names(self) -> tuple[str, ...]:
        """The only names that it may certify; empty: all of them."""
        return self.settings.names

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The root, which is made if there is none yet."""
        with _failures():
            return (self._root(),)

    def signs(self, algorithm: KeyAlgorithm) -> bool:
        """ECDSA P-256 and P-384, RSA of 2048 bits or more, ML-DSA-65 and -87."""
        return algorithm in _SIGNED

    def issue(self, request: IssueRequest) -> Issued:
        """Sign a certificate for a server."""
        csr = _checked(request, self)
        refused = [name for name in request.names if not is_permitted(name, self.settings.names)]
        if refused:
            allowed = ", ".join(self.settings.names)
            raise IssueFailed(
                FailureKind.PERMANENT, f"{self._name} may not certify {', '.join(refused)} (only {allowed})"
            )
        with _failures():
            now = self._now()
            version = self._intermediate(now)
            signer = self._signer(version)
            end = now + self.settings.lifetime
            url = self.settings.crl_url
            address = None if url is None else list_address(url, version.number)
            leaf = server_certificate(request.names, csr.public_key(), signer, end, now, address)
            _, fault = (False, None) if url is None else self._renew_lists()  # before a client looks for it
            if fault is not None and not is_current(self._published().get(leaf.issuer), now):
                raise fault
        chain = (leaf, signer.certificate)
        return Issued(b"".join(one.public_bytes(Encoding.PEM) for one in chain))

    def renewal_window(self, _leaf: x509.Certificate) -> RenewalWindow | None:
        """It has no opinion."""
        return None

    def revoke(self, leaf: x509.Certificate) -> None:
        """Put a certificate on the list of revocations."""
        with _failures():
            now = self._now()
            entry = Revocation(leaf.serial_number, leaf.issuer.rfc4514_string(), now, leaf.not_valid_after_utc)
            known = [one for one in self._revocations() if one.serial != entry.serial and one.not_after > now]
            self._disk.make_directory(self.directory)
            self._disk.write(self.directory / _REVOKED, encode([*known, entry]))
            fault = self._publish_lists({})
            own = self._published().get(leaf.issuer)
            if entry.not_after > now and (
                own is None or own.get_revoked_certificate_by_serial_number(leaf.serial_number) is None
            ):
                name = leaf.issuer.rfc4514_string()
                raise fault or IssueFailed(FailureKind.PERMANENT, f"no key is here that signs the list of {name}")

    # -- for those who maintain it

    def revocation_list(self) -> bytes:
        """The lists of every intermediate that is valid, made now, in PEM. Raises `IssueFailed`."""
        with _failures():
            lists, fault = self._lists({})
            if fault is not None:
                raise fault
        return b"".join(one.public_bytes(Encoding.PEM) for one in lists)

    def _lists(self, kept: _ByIssuer) -> tuple[list[x509.CertificateRevocationList], HomeFailed | None]:
        """Those that are `kept`, and else new ones; instead of one that could not be made the
        previous one, and the reason.
        """
        now = self._now()
        revocations = self._revocations()
        before = self._published()
        lists = []
        fault = None
        for version in self._list_signers(now, before):
            name = _certificate(version).subject
            earlier = before.get(name)
            if name in kept:
                lists.append(kept[name])
                continue
            try:
                lists.append(revocation_list(self._signer(version), revocations, next_number(earlier, now), now))
            except HomeFailed as error:
                fault = error
                lists += [] if earlier is None else [earlier]
        return lists, fault

    def renew_lists(self) -> bool:
        """Publish new lists if one is missing, or is at half of its life. Tells whether one
        was. Raises `IssueFailed`.
        """
        with _failures():
            was_due, fault = self._renew_lists()
            if fault is not None:
                raise fault
        return was_due

    def _renew_lists(self) -> tuple[bool, HomeFailed | None]:
        now = self._now()
        published = self._published()
        fresh = {name: one for name, one in published.items() if is_fresh(one, now)}
        if all(_certificate(one).subject in fresh for one in self._list_signers(now, published)):
            return False, None
        return True, self._publish_lists(fresh)

    @property
    def lists_stamp(self) -> int:
        """Changes with the file of the lists; 0 if there is none."""
        try:
            return (self.directory / _LIST).stat().st_mtime_ns
        except OSError:
            return 0

    def published_lists(self) -> Mapping[str, x509.CertificateRevocationList]:
        """The lists of valid intermediates by the address that certificates name; without
        `crl_url` by the numbers of the intermediates. Raises `IssueFailed`.
        """
        url = self.settings.crl_url or ""
        with _failures():
            published = self._published()
            signers = self._list_signers(self._now(), published)
            named = [(one.number, _certificate(one).subject) for one in signers]
        return {list_address(url, number): published[name] for number, name in named if name in published}

    def _publish_lists(self, kept: _ByIssuer) -> HomeFailed | None:
        """Write the revocation lists of valid intermediates, as `_lists` has them."""
        lists, fault = self._lists(kept)
        self._disk.make_directory(self.directory)
        self._disk.write(self.directory / _LIST, b"".join(one.public_bytes(Encoding.PEM) for one in lists))
        return fault

    def _list_signers(self, now: datetime, published: _ByIssuer) -> list[StoredVersion]:
        """The intermediates that sign lists, the newest first.

        One whose key is at a place that the configuration lacks is among them until its list
        expires: nothing can renew that.
        """
        valid = [
            (one, _certificate(one).subject)
            for one in self.intermediate_shelf.versions()
            if one.has_key and _certificate(one).not_valid_after_utc > now
        ]
        return [one for one, name in valid if one.spec.place in self._homes or is_current(published.get(name), now)]

    def _published(self) -> _ByIssuer:
        try:
            lists = [read_list(block) for block in pem_lists((self.directory / _LIST).read_bytes())]
        except (FileNotFoundError, ListUnusable):
            return {}  # a damaged file is written again
        return {one.issuer: one for one in lists}

    @property
    def has_root(self) -> bool:
        """Whether the root was made. Raises `OSError` or `ShelfDamaged`."""
        return self.root_shelf.current() is not None

    def exportable_root_key(self) -> CertificateIssuerPrivateKeyTypes | None:
        """The key of the root, None if it is in a token or was moved away.
        Raises `HomeFailed`, `OSError` or `ShelfDamaged`.
        """
        root = self.root_version()
        home = self._homes.get(root.spec.place)
        if home is None or not home.is_software or not root.has_key:
            return None
        return self._root_signer(root)

    def forget_root_key(self) -> None:
        """Destroy the root's key here, after it was copied. Raises `OSError` or `ShelfDamaged`."""
        self._disk.remove(self.root_version().kept_path)

    def recover(self) -> None:
        """Undo what a process left behind that is gone. Raises `IssueFailed`."""
        with _failures():
            self.root_shelf.recover(self._homes)
            self.intermediate_shelf.recover(self._homes)
            now = self._now()
            self.intermediate_shelf.destroy_keys(now, self._homes)

    # -- root and intermediate

    def _root(self) -> x509.Certificate:
        return _certificate(self.root_version())

    def root_version(self) -> StoredVersion:
        """The root, made if needed. Raises `HomeFailed`, `OSError` or `ShelfDamaged`."""
        current = self.root_shelf.current() or self.root_shelf.candidate()
        now = self._now()
        if current is None:
            spec = self.settings.root

            def made(number: int, key: CertificateIssuerPrivateKeyTypes) -> x509.Certificate:
                return root_certificate(f"Plexigate {self._name} root {now:%Y-%m-%d} {number}", key, now)

            current = self._make(self.root_shelf, spec, "first", made)
        if self.root_shelf.ledger().current != current.number:
            self.root_shelf.serve(current.number, Retirement(now, now + _NEVER, "replaced"))
        return current

    def _intermediate(self, now: datetime) -> StoredVersion:
        current = self.intermediate_shelf.current()
        reason = "first" if current is None else self._reason_to_replace(current, now)
        if reason is None and current is not None:
            return current
        candidate = self.intermediate_shelf.candidate()
        if candidate is None:
            try:
                candidate = self._make_intermediate(str(reason), now)
            except RootKeyMissing:
                if current is None or not _is_good_enough(_certificate(current), now, self.settings.lifetime / 2):
                    raise
                return current  # good enough for now: it is asked for again each time
        end = now if current is None else _certificate(current).not_valid_after_utc
        self.intermediate_shelf.serve(candidate.number, Retirement(now, end, str(reason)))
        return candidate

    def _reason_to_replace(self, current: StoredVersion, now: datetime) -> str | None:
        certificate = _certificate(current)
        left = certificate.not_valid_after_utc - now
        if certificate.not_valid_before_utc > now:
            return "it was made while the clock was ahead"
        if left < max(self.settings.intermediate_lifetime / 3, 2 * self.settings.lifetime):
            return "it ends soon"
        if current.spec != self.settings.key:
            return "its key changed in the configuration"
        if extension_of(certificate, x509.NameConstraints) != name_constraints(self.settings.names):
            return "its names changed in the configuration"
        return None

    def _make_intermediate(self, reason: str, now: datetime) -> StoredVersion:
        root = self.root_version()
        signer = IssuerKey(_certificate(root), self._root_signer(root))

        def made(number: int, key: CertificateIssuerPrivateKeyTypes) -> x509.Certificate:
            name = f"Plexigate {self._name} intermediate {now:%Y-%m-%d} {number}"
            end = now + self.settings.intermediate_lifetime
            return intermediate_certificate(name, key.public_key(), signer, end, self.settings.names, now)

        return self._make(self.intermediate_shelf, self.settings.key, reason, made)

    def _make(
        self,
        shelf: Shelf,
        spec: KeySpec,
        reason: str,
        made: Callable[[int, CertificateIssuerPrivateKeyTypes], x509.Certificate],
    ) -> StoredVersion:
        if spec.place not in self._homes:
            raise HomeFailed(spec.place, "the configuration has no such place")
        home = self._homes[spec.place]
        number = shelf.begin(Intent(str(spec), self._name, (), reason, self._now()))
        name = shelf.key_name(number, spec)
        try:
            kept = home.make(name)
            shelf.keep_key(number, kept)
            certificate = made(number, home.signer(name, kept))
            shelf.keep_chain(number, certificate.public_bytes(Encoding.PEM))
            return shelf.complete(number)
        except Exception:
            with contextlib.suppress(HomeFailed, OSError):  # the next start tries again
                shelf.drop(number, self._homes)
            raise

    def _signer(self, version: StoredVersion) -> IssuerKey:
        name = self.intermediate_shelf.key_name(version.number, version.spec)
        home = self._homes.get(version.spec.place)
        if home is None:
            raise HomeFailed(version.spec.place, "the configuration has no such place")
        key = home.signer(name, version.kept_path.read_bytes())
        return IssuerKey(_certificate(version), key)

    def _root_signer(self, root: StoredVersion) -> CertificateIssuerPrivateKeyTypes:
        name = self.root_shelf.key_name(root.number, root.spec)
        if root.has_key:
            return self._homes[root.spec.place].signer(name, root.kept_path.read_bytes())
        if self._root_key is None or not self._root_key.is_file():
            raise RootKeyMissing(self._name)
        key = FileHome().signer(name, self._root_key.read_bytes())
        if key.public_key() != _certificate(root).public_key():
            raise RootKeyMissing(self._name)
        return key

    def _revocations(self) -> tuple[Revocation, ...]:
        try:
            return parse((self.directory / _REVOKED).read_bytes())
        except FileNotFoundError:
            return ()


def _is_good_enough(certificate: x509.Certificate, now: datetime, least: timedelta) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - least


class RootKeyMissing(Exception):
    """The key of the root of `issuer` was moved away, and an intermediate has to be made."""

    def __init__(self, issuer: str) -> None:
        super().__init__(issuer)
        self.issuer = issuer

    def __str__(self) -> str:
        return f"a new intermediate needs the private key of the root: name its file in issuer.{self.issuer}.root_key"


class _failures:  # noqa: N801 - used as a function
    """What goes wrong inside of the authority, as the seam has it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        match error:
            case HomeFailed() | OSError():
                raise IssueFailed(FailureKind.TEMPORARY, str(error)) from None
            case ShelfDamaged() | RevocationsDamaged() | RootKeyMissing():
                raise IssueFailed(FailureKind.PERMANENT, str(error)) from None
            case _:
                return


def _checked(request: IssueRequest, issuer: InternalAuthority) -> x509.CertificateSigningRequest:
    """The CSR (RFC 2986), if it is of a kind that is signed here and its own key has signed it."""
    try:
        csr = x509.load_der_x509_csr(request.csr_der)
        key = supported_public_key(csr.public_key())
        if key is not None and issuer.signs(algorithm_of(key)) and csr.is_signature_valid:
            return csr
    except (ValueError, UnsupportedAlgorithm):
        pass  # as below
    raise IssueFailed(FailureKind.PERMANENT, "a CSR that is damaged, or whose key this CA does not certify")


def _certificate(version: StoredVersion) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(version.chain_path.read_bytes())
    except ValueError:
        raise ShelfDamaged(version.chain_path, "not a certificate in PEM") from None
