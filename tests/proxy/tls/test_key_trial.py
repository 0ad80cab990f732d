"""Whether a process can still sign with a key: loaded, looked for anew, destroyed."""

from tests.hsm.shim import CKR_DEVICE_ERROR
from tests.hsm.site import HsmSite

URI = "pkcs11:token=plexi;object=chat"


def test_a_key_signs_until_it_is_destroyed(hsm_site: HsmSite) -> None:
    plexi = hsm_site.hsm.add_token("plexi")
    text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", hsm_site.hsm.generate(plexi, "chat"), URI)
    hsm_site.hsm.generate(plexi, "other", identifier="02")
    with hsm_site.signer(hsm_site.write(text)) as signer:
        assert signer.try_key("plexi", "chat", "01") == (True, True)
        assert signer.try_key("plexi", "other", "02") == (False, True), (
            "not used, but found with the PIN of the used one"
        )
        assert signer.try_key("plexi", "none", "03") == (False, False)
        assert signer.try_key("spare", "chat", "01") == (False, False), "no token of ours"
        hsm_site.hsm.destroy(plexi, "other")
        hsm_site.hsm.destroy(plexi, "chat")
        assert signer.try_key("plexi", "other", "02") == (False, False)
        assert signer.try_key("plexi", "chat", "01") == (True, False), "loaded, and of no use any more"


def test_a_token_that_fails_signs_with_nothing(hsm_site: HsmSite) -> None:
    plexi = hsm_site.hsm.add_token("plexi")
    text = hsm_site.tokens(plexi) + hsm_site.identity("localhost", hsm_site.hsm.generate(plexi, "chat"), URI)
    control = hsm_site.hsm.shim.token("plexi")
    with hsm_site.signer(hsm_site.write(text)) as signer:
        with control.failing(CKR_DEVICE_ERROR, "C_Sign", "C_FindObjectsInit"):
            assert signer.try_key("plexi", "chat", "01") == (True, False)
        assert signer.try_key("plexi", "chat", "01") == (True, True)
