"""Throw-away certificates of every kind."""

import ssl

import pytest

from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from config.schema import CredentialPreference
from proxy.tls.openssl.stand_in import stand_in
from proxy.tls.wire.signature_schemes import SIGNATURE_SCHEMES, ranking, sigalgs_list
from tests.proxy.tls import hellos

F = KeyFamily
KINDS = [
    KeyAlgorithm(F.ECDSA, 256),
    KeyAlgorithm(F.ECDSA, 384),
    KeyAlgorithm(F.ECDSA, 521),
    KeyAlgorithm(F.RSA, 3072),
    KeyAlgorithm(F.ED25519),
    KeyAlgorithm(F.MLDSA, 44),
    KeyAlgorithm(F.MLDSA, 65),
    KeyAlgorithm(F.MLDSA, 87),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_signs_by_every_scheme_of_its_kind_and_by_no_other(kind: KeyAlgorithm) -> None:
    """So it is taken for a client exactly where the key is that it stands for."""
    ours = {scheme for scheme, _ in ranking(CredentialPreference.CLASSICAL, [kind])}
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(stand_in(kind).certificate_path, stand_in(kind).key_pem_path)
    assert hellos.openssl_takes(made, hellos.SET_SIGALGS_LIST, sigalgs_list(CredentialPreference.CLASSICAL))
    takes = set()
    for name in sigalgs_list(CredentialPreference.CLASSICAL).split(":"):
        client = hellos.client_context("X25519")
        assert hellos.openssl_takes(client, hellos.SET_SIGALGS_LIST, name)
        try:
            hellos.converse(hellos.peer(client), hellos.peer(made))
        except ssl.SSLError:
            continue
        takes.add(name)

    assert {SIGNATURE_SCHEMES[name] for name in takes} == ours


def test_one_of_each_kind_in_a_process() -> None:
    assert stand_in(KeyAlgorithm(F.ECDSA, 256)) is stand_in(KeyAlgorithm(F.ECDSA, 256))


def test_key_shows_itself_to_nobody() -> None:
    one = stand_in(KeyAlgorithm(F.ECDSA, 256))
    assert "PRIVATE" not in repr(one)
    assert "PRIVATE KEY" in one.key_pem_path.read_text()
