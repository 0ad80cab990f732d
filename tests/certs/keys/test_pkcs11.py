"""A key that is only named: what OpenSSL is given, and what everybody else may see."""

import subprocess

from cryptography.hazmat.primitives.asymmetric import ec

from certs.hsm.secret import Secret
from certs.keys.pkcs11 import Pkcs11Key, uri_pem
from certs.keys.signing_key import Custody, SigningKey
from config.values.pkcs11_uri import Pkcs11Uri
from tests.certs.authority import private_key

URI = Pkcs11Uri(token="plexi", object="chat")


def key() -> Pkcs11Key:
    public = private_key("ecdsa-p384").public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    return Pkcs11Key(URI, "plexi", public, Secret("sesam-1234"))


def test_is_a_signing_key_in_a_token() -> None:
    signing: SigningKey = key()
    assert signing.custody is Custody.TOKEN
    assert str(signing.algorithm) == "ecdsa-p384"
    assert signing.location == "pkcs11:token=plexi;object=chat"


def test_pem_leads_openssl_to_the_key_and_to_the_file_of_the_pin() -> None:
    one = key()
    pem = one.pem_path.read_bytes()
    assert pem == uri_pem(f"pkcs11:token=plexi;object=chat;type=private?pin-source=file:{one.pin.path}")
    assert pem.startswith(b"-----BEGIN PKCS#11 PROVIDER URI-----\n")
    assert pem.endswith(b"\n-----END PKCS#11 PROVIDER URI-----\n")
    assert one.pin.path.read_bytes() == b"sesam-1234"


def test_pin_is_in_nothing_that_is_shown_or_written() -> None:
    one = key()
    shown = f"{one!r} {one} {one.openssl_uri} {one.pem_path.read_text()}"
    assert "sesam" not in shown


def test_pem_is_der_of_every_length() -> None:
    """As another reader of ASN.1 sees it."""
    for length in (1, 90, 120, 200, 255, 256, 300, 70_000):
        uri = "u" * length
        pem = uri_pem(uri)
        done = subprocess.run(["openssl", "asn1parse"], input=pem, capture_output=True, check=True)
        assert f"UTF8STRING        :{uri}\n".encode() in done.stdout
        assert b"VISIBLESTRING     :PKCS#11 Provider URI v1.0\n" in done.stdout
