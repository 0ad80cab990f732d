"""Which cipher suites each level accepts, and whose preference counts."""

import pytest

from tests.integration.gateway import Gateway

AES_128, AES_256, CHACHA20 = "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"
ACCEPTED = {
    "standard": (AES_256, CHACHA20, AES_128),
    "high": (AES_256, CHACHA20),
    "critical": (AES_256, CHACHA20),
    "cnsa": (AES_256,),
}
HANDSHAKE_FAILURE = 40
GROUP = "SecP384r1MLKEM1024"
"""One that every level has."""

each_level = pytest.mark.parametrize("listener", ACCEPTED)


@each_level
@pytest.mark.parametrize("suite", [AES_128, AES_256, CHACHA20, "TLS_AES_128_CCM_SHA256"])
def test_suite_that_is_offered_alone_is_taken_if_the_level_has_it(gateway: Gateway, listener: str, suite: str) -> None:
    said = gateway.s_client("-groups", GROUP, "-ciphersuites", suite, on=listener)
    if suite in ACCEPTED[listener]:
        assert said.cipher_suite == suite
        assert said.is_established
    else:
        assert said.cipher_suite is None
        assert said.alert == HANDSHAKE_FAILURE


@each_level
def test_our_order_counts(gateway: Gateway, listener: str) -> None:
    said = gateway.s_client("-groups", GROUP, "-ciphersuites", f"{AES_128}:{CHACHA20}:{AES_256}", on=listener)
    assert said.cipher_suite == AES_256


@each_level
def test_chacha20_comes_first_for_a_client_that_puts_it_first(gateway: Gateway, listener: str) -> None:
    said = gateway.s_client("-groups", GROUP, "-ciphersuites", f"{CHACHA20}:{AES_256}", on=listener)
    assert said.cipher_suite == (CHACHA20 if CHACHA20 in ACCEPTED[listener] else AES_256)
