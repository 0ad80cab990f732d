"""How many keys a URI finds; in a process that has loaded the provider."""

from tests.hsm.shim import CKR_DEVICE_ERROR
from tests.hsm.site import HsmSite


def test_keys_are_counted_up_to_two_and_errors_are_those_of_the_token(hsm_site: HsmSite) -> None:
    hsm = hsm_site.hsm
    plexi, spare = hsm.add_token("plexi"), hsm.add_token("spare", "another-pin")
    for identifier in ("01", "02", "03"):
        hsm.generate(plexi, "thrice", identifier=identifier)
    hsm.generate(plexi, "rsa", "rsa-3072", identifier="04")
    key = hsm.generate(spare, "chat")
    pins = {token.label: f"?pin-source=file:{hsm.pin_file(token)}" for token in (plexi, spare)}
    configuration = hsm_site.write(
        hsm_site.tokens(plexi, spare), hsm_site.identity("localhost", key, "pkcs11:token=spare;object=chat")
    )
    with hsm_site.signer(configuration) as signer:
        control = hsm.shim.token("plexi")

        def count(what: str, pin: str = pins["plexi"]) -> tuple[int, int]:
            return signer.count_keys(f"pkcs11:{what};type=private{pin}")

        assert count("token=nowhere;object=thrice") == (0, 0)
        assert control.calls("C_Login") == 0
        assert count("token=plexi;object=none") == (0, 0)
        assert control.calls("C_Login") == 1
        assert count("token=plexi;object=thrice") == (2, 0)
        assert count("token=plexi;object=thrice;id=%02") == (1, 0)
        assert count("token=plexi;object=thrice;id=%04") == (0, 0)
        assert count("token=plexi;object=rsa") == (1, 0)
        assert count("token=plexi;object=rsa;slot-id=1") == (0, 0)
        with control.failing(CKR_DEVICE_ERROR, "C_FindObjects"):
            assert count("token=plexi;object=rsa") == (-1, CKR_DEVICE_ERROR)
        assert count("token=plexi;object=rsa") == (1, 0)  # the error is forgotten
        assert count("token=plexi;object=rsa", "?pin-source=file:/missing") == (-1, 0)
        assert control.calls("C_Login") == 1
        assert signer.handshakes() == []
