"""ECDSA and ML-DSA in one identity: who gets which, and that nobody is sent one that it cannot verify."""

import socket
import ssl

import pytest
import requests

from proxy.tls.openssl import libssl
from tests.integration.gateway import Gateway

ECDSA, MLDSA = "ecdsa_secp256r1_sha256", "mldsa65"


def test_curl_that_knows_the_classical_issuer_only_succeeds(gateway: Gateway) -> None:
    """OpenSSL 3.5 lists ML-DSA first, so the order of the server decides."""
    said = gateway.curl(host="dual.test")
    assert said.status == 0, said.errors


def test_python_that_knows_the_classical_issuer_only_succeeds(gateway: Gateway) -> None:
    context = ssl.create_default_context(cafile=str(gateway.trust.classical.path))
    with (
        socket.create_connection(("127.0.0.1", gateway.port()), 10) as sock,
        context.wrap_socket(sock, server_hostname="dual.test") as tls,
    ):
        certificate = tls.getpeercert()
    assert certificate is not None
    assert certificate["subject"] == ((("commonName", "dual-ecdsa"),),)


def test_requests_succeeds(gateway: Gateway) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(gateway.trust.classical.path)
        answer = session.get(f"https://localhost:{gateway.port()}/", timeout=10)
    assert answer.status_code == 200


def test_client_that_takes_both_is_shown_the_classical_one(gateway: Gateway) -> None:
    said = gateway.s_client("-sigalgs", f"{MLDSA}:{ECDSA}", name="dual.test")
    assert said.signature == ECDSA
    assert said.is_established


@pytest.mark.parametrize("offered", [f"{MLDSA}:{ECDSA}", f"{ECDSA}:{MLDSA}"])
def test_at_the_level_of_cnsa_mldsa_goes_first_wherever_a_client_lists_it(gateway: Gateway, offered: str) -> None:
    trusting = ("-CAfile", str(gateway.trust.mldsa.path))
    said = gateway.s_client("-groups", "MLKEM1024", "-sigalgs", offered, *trusting, name="dual.test", on="cnsa")
    assert said.signature == MLDSA
    assert said.is_established
    said = gateway.s_client("-groups", "MLKEM1024", "-sigalgs", ECDSA, name="dual.test", on="cnsa")
    assert said.signature == ECDSA, "weaker_signatures = true"


def test_client_of_mldsa_alone_is_shown_mldsa(gateway: Gateway) -> None:
    said = gateway.s_client("-sigalgs", MLDSA, "-CAfile", str(gateway.trust.mldsa.path), name="dual.test")
    assert said.signature == MLDSA
    assert "subject=CN=dual-mldsa\n" in said.output
    assert said.is_established


def test_client_of_ecdsa_alone_is_shown_ecdsa(gateway: Gateway) -> None:
    for name in ("dual.test", "modern.test"):
        said = gateway.s_client("-sigalgs", ECDSA, name=name)
        assert said.signature == ECDSA
        assert said.is_established


def test_identity_may_prefer_mldsa(gateway: Gateway) -> None:
    said = gateway.s_client("-CAfile", str(gateway.trust.mldsa.path), name="modern.test")
    assert said.signature == MLDSA
    assert "subject=CN=modern-mldsa\n" in said.output
    assert said.is_established


def test_client_that_lists_mldsa_and_does_not_trust_it_fails_where_it_is_preferred(gateway: Gateway) -> None:
    """Which is why the classical one comes first unless the identity says otherwise."""
    assert not gateway.s_client(name="modern.test").is_established
    context = ssl.create_default_context(cafile=str(gateway.trust.classical.path))
    libssl.set_signature_algorithms(context, f"{MLDSA}:{ECDSA}")
    with (
        socket.create_connection(("127.0.0.1", gateway.port()), 10) as sock,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(sock, server_hostname="modern.test")


def test_mldsa_goes_with_every_kind_of_group(gateway: Gateway) -> None:
    for groups in ("X25519MLKEM768", "X25519MLKEM768:*x25519", "x25519"):
        said = gateway.s_client(
            "-groups", groups, "-sigalgs", MLDSA, "-CAfile", str(gateway.trust.mldsa.path), name="dual.test"
        )
        assert said.is_established
