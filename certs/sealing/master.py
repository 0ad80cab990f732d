"""The sealing key itself: a file, or a key in a token that a process logs in to for each use.

It seals only the keys below it (`certs.hierarchy.vault`). It is needed at the start and rarely
afterwards, so no session of the token stays open for it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certs.hsm import errors
from certs.hsm.access import TokenAccess
from certs.hsm.clients.client import TokenProcess
from certs.hsm.facts import KeyAddress
from certs.keys.configured_access import access_of
from certs.sealing.errors import KeyAway, KeyUnavailable
from certs.sealing.key_file import KeyFileUnusable, load_key
from certs.sealing.sealer import AeadSealer, SealingKey
from certs.sealing.sealing_key import label_in_token, sealer_in_token
from config.loading.loaded import ConfigFile
from config.tables.hsm import HsmConfig
from config.tables.sealing import SealingConfig
from config.values.pkcs11_uri import Pkcs11Uri

# Of a token, not of what the configuration says about it: the same for which a start continues
# without a key in a token.
_PASSING: Final = (
    errors.CallFailed,
    errors.DeadlinePassed,
    errors.LatchUnusable,
    errors.ModuleUnusable,
    errors.PinFinalTry,
    errors.PinLatched,
    errors.PinRefused,
    errors.TokenMissing,
    errors.TokenProcessLost,
)


@dataclass(frozen=True, slots=True)
class KeyInToken:
    access: TokenAccess
    address: KeyAddress

    @property
    def uri(self) -> Pkcs11Uri:
        """As a configuration names it, which may be by label, serial or slot of the token."""
        token = self.access.token
        return Pkcs11Uri(token.label, token.serial, token.slot, object=self.address.label, id=self.address.id)

    def __str__(self) -> str:
        return f"the key with {self.address} in the token with {self.access.token}"


Place = Path | KeyInToken


def place_of(file: ConfigFile, sealing: SealingConfig, hsm: HsmConfig | None) -> Place | None:
    """Where a configuration says that it is; None where nothing is sealed.

    Raises `ConfigError` without the PIN of its token.
    """
    key = sealing.key
    if key is None:
        return None
    if isinstance(key, str):
        return file.resolve(key)
    return KeyInToken(access_of(file, hsm, key), KeyAddress(key.object, key.id))


class Master:
    """A `SealingKey`; one thread at a time, and as slow as the token."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._open: SealingKey | None = None

    @property
    def name(self) -> str:
        """As a configuration names it: a path, or a PKCS#11 URI."""
        return str(self.place) if isinstance(self.place, Path) else str(self.place.uri)

    @contextmanager
    def at_hand(self) -> Iterator[SealingKey]:
        """Log in once for all that is done in the block.

        Raises `KeyUnavailable`, which is `KeyAway` where that may pass.
        """
        if self._open is not None:
            yield self._open
            return
        try:
            with _translated():
                if isinstance(self.place, Path):
                    self._open = AeadSealer(load_key(self.place))
                    yield self._open
                    return
                with TokenProcess.logged_in(self.place.access) as process:
                    self._open = sealer_in_token(process, self.place.address)
                    yield self._open
        finally:
            self._open = None

    def beside(self, ids: Sequence[bytes]) -> str | None:
        """The name of a key in the same token, or of a key file in the same directory, which
        envelopes call by one of `ids`. Raises as `at_hand`.
        """
        if isinstance(self.place, Path):
            for path in sorted(self.place.parent.iterdir()):
                with suppress(KeyFileUnusable):
                    if load_key(path).key_id in ids:
                        return str(path)
            return None
        with _translated(), TokenProcess.logged_in(self.place.access) as process:
            return label_in_token(process, ids)

    @property
    def key_id(self) -> bytes:
        with self.at_hand() as sealer:
            return sealer.key_id

    @property
    def has_shares(self) -> bool | None:
        with self.at_hand() as sealer:
            return sealer.has_shares

    def seal(self, plain: bytes, label: str) -> bytes:
        with self.at_hand() as sealer:
            return sealer.seal(plain, label)

    def open(self, sealed: bytes, label: str) -> bytes:
        with self.at_hand() as sealer:
            return sealer.open(sealed, label)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _PASSING as error:
        raise KeyAway(str(error)) from None
    except errors.HsmError as error:
        raise KeyUnavailable(str(error)) from None
    except KeyFileUnusable as error:
        raise KeyUnavailable(str(error), error) from None
