"""A key in a token that signs the checkpoints of the audit log."""

from certs.audit.signing import FileSigner, SignerUnavailable
from certs.hsm.errors import HsmError
from certs.keys.signing_key import PublicKey
from certs.keys.token_private_key import TokenEcKey, TokenRsaKey


class TokenSigner:
    """A `Signer`: the same signatures as those of a key file, made in the token."""

    def __init__(self, key: TokenEcKey | TokenRsaKey) -> None:
        self._signer = FileSigner(key)

    @property
    def public_key(self) -> PublicKey:
        """Its public half."""
        return self._signer.public_key

    def sign(self, data: bytes) -> bytes:
        """A signature; raises `SignerUnavailable`."""
        try:
            return self._signer.sign(data)
        except HsmError as error:
            raise SignerUnavailable(str(error)) from None
