"""A key in a token that signs the checkpoints of the audit log."""

from collections.abc import Iterator
from contextlib import contextmanager

from certs.audit.signatures import SignerUnavailable
from certs.audit.signing import FileSigner
from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import HsmError
from certs.hsm.facts import KeyAddress
from certs.keys.signing_key import PublicKey
from certs.keys.token_private_key import SignatureUnsupported, token_private_key
from certs.keys.token_public_key import public_key_of


class TokenSigner:
    """A `Signer`: the same signatures as those of a key file, made in the token.

    It logs in for each signature: there is one in a thousand lines, and a session that is kept
    would be one less for handshakes.
    """

    def __init__(self, access: TokenAccess, address: KeyAddress) -> None:
        """Make it without a call to the token; the first signature makes one."""
        self._access = access
        self._address = address
        self._public: PublicKey | None = None

    @property
    def public_key(self) -> PublicKey:
        """Its public half; raises `SignerUnavailable` where it was never seen yet."""
        if self._public is None:
            with _said(), TokenProcess.logged_in(self._access) as process:
                self._public = public_key_of(process.perform(calls.public_parts(self._address)))
        return self._public

    def sign(self, data: bytes) -> bytes:
        public = self.public_key
        with _said(), TokenProcess.logged_in(self._access) as process:
            return FileSigner(token_private_key(public, self._address, process.perform)).sign(data)


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except (HsmError, OSError, SignatureUnsupported) as error:
        raise SignerUnavailable(str(error)) from None
