"""ACME accounts, sealed on disk: who has the key of an account could revoke its certificates. And
those that a fleet shares.
"""

from certs.acme.challenges.proofs import SharedAccounts
from certs.acme.client.accounts import AccountDamaged, AccountStore
from certs.issuing.issuer import NotShared
from certs.sealing.envelope import Purpose
from certs.sealing.errors import KeyUnavailable, SealingError
from certs.sealing.sealer import Sealer


class AccountOutOfReach(Exception):
    """The sealing key cannot be used now; `reason` says why."""

    def __init__(self, directory: str, reason: str) -> None:
        super().__init__(directory, reason)
        self.directory = directory
        self.reason = reason

    def __str__(self) -> str:
        return f"the account of {self.directory} {self.reason}"


class SealedAccountStore:
    """An `AccountStore` in front of another one, which gets nothing but envelopes."""

    def __init__(self, store: AccountStore, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    def load(self, directory: str) -> bytes | None:
        """Open a document. Raises `AccountOutOfReach`, `AccountDamaged` or `OSError`."""
        sealed = self._store.load(directory)
        if sealed is None:
            return None
        try:
            return self._sealer.open(sealed, Purpose.ACME_ACCOUNT.label(directory))
        except KeyUnavailable as error:
            raise AccountOutOfReach(directory, error.reason) from None
        except SealingError:
            raise AccountDamaged(directory) from None

    def save(self, directory: str, document: bytes) -> None:
        """Seal a document and keep that.

        Raises `AccountOutOfReach` or `OSError`; then the one before is still there.
        """
        try:
            sealed = self._sealer.seal(document, Purpose.ACME_ACCOUNT.label(directory))
        except KeyUnavailable as error:
            raise AccountOutOfReach(directory, error.reason) from None
        self._store.save(directory, sealed)


class FleetAccountStore:
    """An `AccountStore` of what a fleet shares. The first node brings the account that it has."""

    def __init__(self, shared: SharedAccounts, own: AccountStore) -> None:
        self._shared = shared
        self._own = own

    def load(self, directory: str) -> bytes | None:
        found = self._shared.load(directory)
        if found is None and (found := self._own.load(directory)) is not None:
            self.save(directory, found)
        return found

    def save(self, directory: str, document: bytes) -> None:
        """Let all nodes have it. Raises `AccountOutOfReach`."""
        try:
            self._shared.save(directory, document)
        except NotShared as error:
            raise AccountOutOfReach(directory, f"cannot be shared: {error}") from None
