"""What an account signs, read back as a CA reads it; and that the key is never shown."""

import base64
import json

import pytest
from acme import jws
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from josepy.jwk import JWK, JWKOct

from certs.acme.client.account_key import AccountKey, NoAccountKey, NoBindingKey
from tests.acme_directory import EAB_KEY

KEY = AccountKey.generate()
URL = "https://ca.test/order"


def test_signature_covers_payload_url_and_nonce() -> None:
    signed = jws.JWS.json_loads(KEY.signed(b"{}", URL, "bm9uY2U", "https://ca.test/acct/1").decode())
    header = signed.signature.combined
    assert (header.url, header.nonce, header.kid, header.jwk, header.alg.name) == (
        URL,
        b"nonce",
        "https://ca.test/acct/1",
        None,
        "ES256",
    )
    assert signed.payload == b"{}"
    by_key = jws.JWS.json_loads(KEY.signed(b"", URL, "bm9uY2U", None).decode())
    key = by_key.signature.combined.jwk
    assert signed.verify(key=key)
    assert by_key.verify(key=key)
    assert (by_key.payload, by_key.signature.combined.kid) == (b"", None)


def test_thumbprint_is_that_of_the_public_key() -> None:
    again = AccountKey.from_pem(KEY.to_pem())
    assert again.thumbprint == KEY.thumbprint
    assert len(base64.urlsafe_b64decode(KEY.thumbprint + "=")) == 32


def test_binding_is_signed_by_the_key_of_the_external_account() -> None:
    bound = jws.JWS.from_json(KEY.binding("kid-1", EAB_KEY, URL))
    header = bound.signature.combined
    assert (header.kid, header.url, header.alg.name, header.nonce) == ("kid-1", URL, "HS256", None)
    assert bound.verify(key=JWKOct(key=base64.urlsafe_b64decode(EAB_KEY + "=")))
    assert "d" not in json.loads(bound.payload)
    by_key = jws.JWS.json_loads(KEY.signed(b"", URL, "bm9uY2U", None).decode())
    assert JWK.from_json(json.loads(bound.payload)) == by_key.signature.combined.jwk


@pytest.mark.parametrize("mac_key", ["", "!", "a b", "secret+secret", "x"])
def test_what_is_no_binding_key_is_not_repeated(mac_key: str) -> None:
    with pytest.raises(
        NoBindingKey, match=r"^the key of the external account \(eab_key_file\) is not base64url text$"
    ) as caught:
        KEY.binding("kid-1", mac_key, URL)
    assert caught.value.__cause__ is None


def _pem(curve: ec.EllipticCurve) -> bytes:
    return ec.generate_private_key(curve).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "pem", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", _pem(ec.SECP384R1())]
)
def test_what_is_no_account_key_is_refused(pem: bytes) -> None:
    with pytest.raises(NoAccountKey, match="not an ECDSA P-256 key in PEM"):
        AccountKey.from_pem(pem)


def test_key_is_never_shown() -> None:
    assert repr(KEY) == str(KEY) == "AccountKey(not shown)"
