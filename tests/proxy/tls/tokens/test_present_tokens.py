"""The tokens of a module, seen without a login."""

from pathlib import Path

from config.values.pkcs11_uri import Pkcs11Uri
from proxy.tls.tokens.present_tokens import PresentToken
from tests.hsm.shim import CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED
from tests.hsm.site import HsmSite

PLEXI = PresentToken(7, "plexi", "0a1b", "SoftHSM project", "SoftHSM v2", 0x40D)


class TestFitting:
    def test_every_attribute_must_be_the_same(self) -> None:
        assert PLEXI.fits(Pkcs11Uri(token="plexi"))
        assert PLEXI.fits(Pkcs11Uri("plexi", "0a1b", 7, "SoftHSM project", "SoftHSM v2", "any", b"any"))
        for other in (
            Pkcs11Uri(token="Plexi"),
            Pkcs11Uri(token="plexi", serial="0a1c"),
            Pkcs11Uri(token="plexi", slot_id=8),
            Pkcs11Uri(token="plexi", manufacturer="SoftHSM"),
            Pkcs11Uri(token="plexi", model="SoftHSM v3"),
        ):
            assert not PLEXI.fits(other)

    def test_flags_say_what_happened_to_the_pin(self) -> None:
        assert (PLEXI.needs_login, PLEXI.was_refused, PLEXI.is_locked) == (True, False, False)
        assert PresentToken(1, "", "", "", "", 0x1_0400).was_refused
        assert PresentToken(1, "", "", "", "", 0x2_0400).was_refused
        assert PresentToken(1, "", "", "", "", 0x4_0400).is_locked
        assert not PresentToken(1, "", "", "", "", 0x400).needs_login


def test_tokens_of_a_module_that_openssl_uses(hsm_site: HsmSite) -> None:
    hsm = hsm_site.hsm
    plexi, spare = hsm.add_token("plexi"), hsm.add_token("My spare token", "another-pin")
    key = hsm.generate(plexi, "chat")
    module = hsm.shim.module
    configuration = hsm_site.write(
        hsm_site.tokens(plexi), hsm_site.identity("localhost", key, "pkcs11:token=plexi;object=chat")
    )
    with hsm_site.signer(configuration) as signer:
        tokens = signer.tokens(module)
        assert set(tokens) == {plexi.label, spare.label}  # not the slot in which the next token would come
        assert (tokens["plexi"]["in"], tokens[spare.label]["in"]) == (True, False)
        assert tokens["plexi"]["model"] == "SoftHSM v2"
        assert tokens["plexi"]["manufacturer"] == "SoftHSM project"
        assert len(tokens["plexi"]["serial"]) == 16
        assert hsm.shim.token("plexi").calls("C_Login") == 1
        with hsm.shim.token("").failing(CKR_DEVICE_ERROR, "C_GetSlotList"):
            assert signer.error_of(module) == "the token failed to be listed: CKR_DEVICE_ERROR"
        with hsm.shim.token("plexi").failing(CKR_DEVICE_REMOVED, "C_OpenSession"):
            assert signer.error_of(module) == "the token failed to open a session: CKR_DEVICE_REMOVED"
        for other in ("/bin/true", "/missing.so"):
            assert f"PKCS#11 module {other}: found " in signer.error_of(Path(other))
        assert signer.handshakes() == []
