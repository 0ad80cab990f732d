"""The internal authority as an `Issuer`.

Theory of operation. Root and intermediate are shelves of the store, so each is stored completely or
not at all. The root is made once. Its key only signs intermediates, so it may be moved away between
two of them. The intermediate is replaced when a third of its life is left, or less than two lives
of a certificate, or when its key or names changed in the configuration. The previous one stays
valid, and its key is kept as long as it may have to sign revocation lists.
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
from certs.issuing.internal_ca.lists import RevocationLists, StillWriting, certificate_of, issuer_key
from certs.issuing.internal_ca.names import is_permitted, name_constraints
from certs.issuing.internal_ca.profiles import (
    IssuerKey,
    intermediate_certificate,
    root_certificate,
    server_certificate,
)
from certs.issuing.internal_ca.revocations import RevocationsDamaged, list_address
from certs.issuing.issuer import (
    FailureKind,
    Issued,
    IssueFailed,
    IssueRequest,
    NotShared,
    RenewalWindow,
)
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
        self.elsewhere: Callable[[x509.Certificate], None] | None = None
        """Has the leader of the fleet revoke a certificate. None: this node makes the keys of this
        CA and its lists."""
        self.distrusted_until = 0
        """The newest intermediate whose key a node knew that was expelled from the fleet."""
        self._lists = RevocationLists(self.directory, self.intermediate_shelf, homes, store.disk, now)

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
            signer = issuer_key(self.intermediate_shelf, version, self._homes)
            end = now + self.settings.lifetime
            url = self.settings.crl_url
            address = None if url is None else list_address(url, version.number)
            leaf = server_certificate(request.names, csr.public_key(), signer, end, now, address)
            if url is not None and self.elsewhere is None:  # before a client looks for it
                self._lists.require(leaf.issuer)
        chain = (leaf, signer.certificate)
        return Issued(b"".join(one.public_bytes(Encoding.PEM) for one in chain))

    def renewal_window(self, _leaf: x509.Certificate) -> RenewalWindow | None:
        """It has no opinion."""
        return None

    def revoke(self, leaf: x509.Certificate) -> None:
        """Put a certificate on the list of revocations."""
        with _failures():
            (self.elsewhere or self._lists.revoke)(leaf)

    # -- for those who maintain it

    def revocation_list(self) -> bytes:
        """The lists of every intermediate that is valid, made now, in PEM. Raises `IssueFailed`."""
        with _failures():
            return self._lists.made_now()

    def renew_lists(self) -> bool:
        """Publish new lists if one is missing, or is at half of its life. Tells whether one
        was. Raises `IssueFailed`.
        """
        with _failures():
            was_due, fault = self._lists.renew()
            if fault is not None:
                raise fault
        return was_due

    @property
    def lists_stamp(self) -> int:
        """Changes with the file of the lists; 0 if there is none."""
        return self._lists.stamp

    def published_lists(self) -> Mapping[str, x509.CertificateRevocationList]:
        """The lists of valid intermediates by the address that certificates name, the newest
        first; without `crl_url` by the numbers of the intermediates. Raises `IssueFailed`.
        """
        with _failures():
            lists = self._lists.by_number()
        return {list_address(self.settings.crl_url or "", number): one for number, one in lists.items()}

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
        return certificate_of(self.root_version())

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
        if current is not None and (reason is None or self.elsewhere is not None):
            return current
        candidate = self.intermediate_shelf.candidate()
        if candidate is None:
            try:
                candidate = self._make_intermediate(str(reason), now)
            except RootKeyMissing:
                if current is None or not _is_good_enough(certificate_of(current), now, self.settings.lifetime / 2):
                    raise
                return current  # good enough for now: it is asked for again each time
        end = now if current is None else certificate_of(current).not_valid_after_utc
        self.intermediate_shelf.serve(candidate.number, Retirement(now, end, str(reason)))
        return candidate

    def _reason_to_replace(self, current: StoredVersion, now: datetime) -> str | None:
        certificate = certificate_of(current)
        left = certificate.not_valid_after_utc - now
        if certificate.not_valid_before_utc > now:
            return "it was made while the clock was ahead"
        if current.number <= self.distrusted_until:
            return "a node that was expelled knew its key"
        if left < max(self.settings.intermediate_lifetime / 3, 2 * self.settings.lifetime):
            return "it ends soon"
        if current.spec != self.settings.key:
            return "its key changed in the configuration"
        if extension_of(certificate, x509.NameConstraints) != name_constraints(self.settings.names):
            return "its names changed in the configuration"
        return None

    def _make_intermediate(self, reason: str, now: datetime) -> StoredVersion:
        root = self.root_version()
        signer = IssuerKey(certificate_of(root), self._root_signer(root))

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
        if self.elsewhere is not None:
            raise HomeFailed(spec.place, f"only the node that leads the fleet makes keys of {self._name}")
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

    def _root_signer(self, root: StoredVersion) -> CertificateIssuerPrivateKeyTypes:
        name = self.root_shelf.key_name(root.number, root.spec)
        if root.has_key:
            return self._homes[root.spec.place].signer(name, root.kept_path.read_bytes())
        if self._root_key is None or not self._root_key.is_file():
            raise RootKeyMissing(self._name)
        key = FileHome().signer(name, self._root_key.read_bytes())
        if key.public_key() != certificate_of(root).public_key():
            raise RootKeyMissing(self._name)
        return key


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
            case HomeFailed() | NotShared() | StillWriting() | OSError():
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
