"""Tokens behind the shim, as the parent tries them; the fixtures are for the tests of whoever imports them into a conftest."""

import pytest

from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.facts import KeyAddress
from certs.hsm.secret import Secret
from certs.keys.signing_key import PublicKey
from certs.tokens.token_use import TokenUse, TriedKey
from tests.hsm.shim import TokenControl
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import SoftHsm, Token


def use_of(hsm: SoftHsm, token: Token, key: PublicKey | None = None, pin: str | None = None) -> TokenUse:
    """A token with its key `chat`; the PIN may be another one. The environment of this process has to be that of `hsm`."""
    secret = pin or token.pin
    access = TokenAccess(
        hsm.shim.module, TokenChoice(token.label), Secret(secret), hsm.directory / "state" / "pin-latch"
    )
    keys = () if key is None else (TriedKey(KeyAddress("chat"), key),)
    return TokenUse(token.label, access, f"file {token.label}.pin", 16, keys, secret.encode())


@pytest.fixture
def plexi(hsm_site: HsmSite, monkeypatch: pytest.MonkeyPatch) -> Token:
    """A token that this process and its children find."""
    for name, value in hsm_site.hsm.environment.items():
        monkeypatch.setenv(name, value)
    return hsm_site.hsm.add_token("plexi")


@pytest.fixture
def use(hsm_site: HsmSite, plexi: Token) -> TokenUse:
    """How it is used: with a key `chat` in it."""
    return use_of(hsm_site.hsm, plexi, hsm_site.hsm.share("chat", plexi))


@pytest.fixture
def control(hsm_site: HsmSite, plexi: Token) -> TokenControl:
    """What happens to its calls."""
    return hsm_site.hsm.shim.token(plexi.label)
