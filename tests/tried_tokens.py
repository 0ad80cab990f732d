"""Tokens behind the shim, as the parent tries them."""

from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.facts import KeyAddress
from certs.hsm.secret import Secret
from certs.hsm.token_use import TokenUse, TriedKey
from certs.keys.signing_key import PublicKey
from tests.hsm.softhsm import SoftHsm, Token


def use_of(hsm: SoftHsm, token: Token, key: PublicKey | None = None, pin: str | None = None) -> TokenUse:
    """A token with its key `chat`; the PIN may be another one. The environment of this process has to be that of `hsm`."""
    secret = pin or token.pin
    access = TokenAccess(
        hsm.shim.module, TokenChoice(token.label), Secret(secret), hsm.directory / "state" / "pin-latch"
    )
    keys = () if key is None else (TriedKey(KeyAddress("chat"), key),)
    return TokenUse(token.label, access, f"file {token.label}.pin", 16, keys, secret.encode())
