"""The challenge that is picked, and the one that the library does not know by itself."""

import base64

import pytest
from acme import challenges as known
from acme.messages import ChallengeBody
from josepy.jwk import JWK

from certs.acme.challenges.challenges import NotOffered, TlsAlpn01, proof_of
from certs.acme.client.account_key import AccountKey
from config.tables.issuers import AcmeChallenge

KEY = AccountKey.generate()
TOKEN = base64.urlsafe_b64encode(bytes(range(240, 256)) * 2).rstrip(b"=").decode()


def offered(kind: str) -> ChallengeBody:
    document = {"type": kind, "token": TOKEN, "url": f"https://ca.test/{kind}", "status": "pending"}
    body: ChallengeBody = ChallengeBody.from_json(document)
    return body


ALL = tuple(offered(kind) for kind in ("dns-01", "http-01", "carrier-pigeon-01", "tls-alpn-01"))


@pytest.mark.parametrize("kind", AcmeChallenge)
def test_proof_of_the_wanted_kind_is_picked(kind: AcmeChallenge) -> None:
    proof = proof_of("chat.test", ALL, kind, KEY.thumbprint)
    assert (proof.kind, proof.name, proof.token, proof.url) == (kind, "chat.test", TOKEN, f"https://ca.test/{kind}")


def test_library_agrees_with_our_proofs() -> None:
    jwk = KEY._jwk
    assert isinstance(jwk, JWK)
    by_kind = {body.chall.typ: body.chall for body in ALL}
    tls = by_kind["tls-alpn-01"]
    assert isinstance(tls, TlsAlpn01)
    proof = proof_of("chat.test", ALL, AcmeChallenge.TLS_ALPN_01, KEY.thumbprint)
    assert tls.validation(jwk) == proof.digest
    dns = by_kind["dns-01"]
    assert isinstance(dns, known.DNS01)
    assert dns.validation(jwk) == proof.record[1]
    http = by_kind["http-01"]
    assert isinstance(http, known.HTTP01)
    assert http.validation(jwk) == proof.key_authorization


def test_what_is_not_offered_is_told_with_what_is() -> None:
    with pytest.raises(NotOffered, match=r"^the CA does not offer tls-alpn-01 for a.test; it offers dns-01, http-01$"):
        proof_of("a.test", ALL[:3], AcmeChallenge.TLS_ALPN_01, "")
    with pytest.raises(NotOffered, match="no challenge that Plexigate knows"):
        proof_of("a.test", ALL[2:3], AcmeChallenge.HTTP_01, "")
