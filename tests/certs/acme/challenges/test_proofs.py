"""Proofs, as a CA expects them, and their `Solver` where no proxy runs."""

import base64
import hashlib

import pytest

from certs.acme.challenges.proofs import NobodyShows, PresentingFailed, Proof
from config.tables.issuers import AcmeChallenge

PROOF = Proof(AcmeChallenge.DNS_01, "chat.test", "token", "thumbprint", "https://ca.test/1")


def test_each_kind_of_proof_is_made_from_token_and_key() -> None:
    assert PROOF.key_authorization == "token.thumbprint"
    assert PROOF.digest == hashlib.sha256(b"token.thumbprint").digest()
    name, value = PROOF.record
    assert name == "_acme-challenge.chat.test."
    assert base64.urlsafe_b64decode(value + "=") == PROOF.digest


def test_the_key_of_the_account_is_not_shown() -> None:
    assert "thumbprint" not in repr(PROOF).replace("thumbprint=", "")


def test_without_a_proxy_nothing_is_shown_and_nothing_is_to_withdraw() -> None:
    with pytest.raises(PresentingFailed, match=r"^the proxy does not run, so the CA would get no answer$"):
        NobodyShows().present(PROOF)
    NobodyShows().withdraw(PROOF)
