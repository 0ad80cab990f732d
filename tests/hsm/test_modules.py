"""Tokens of two other PKCS#11 modules, from the first key on: what one can do is done, and what it lacks is said."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509

from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import CapabilityMissing
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName
from certs.issuing.signing_request import signing_request
from certs.keys.token_private_key import token_private_key
from certs.keys.token_public_key import public_key_of
from tests import prepared
from tests.hsm_modules import MODULES, Tpm
from tests.hsm_tokens import SoftHsm, token_process
from tests.programs import PLEXIGATE

TPM_LACKS = {
    KeyKind.RSA_4096: "its CKM_RSA_PKCS_KEY_PAIR_GEN makes at most 3072 bits",
    KeyKind.AES_256: "CKM_AES_GCM is not in its list of mechanisms",
}
NO_MLDSA = "CKM_ML_DSA_KEY_PAIR_GEN is not in its list of mechanisms"


@pytest.fixture(scope="module", params=MODULES)
def hsm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    """A module with a token."""
    with request.param(tmp_path_factory.mktemp("token")) as one:
        yield one


@pytest.fixture(scope="module")
def access(hsm: SoftHsm) -> TokenAccess:
    """The token plexi."""
    return hsm.init_token("plexi")


def lacks(hsm: SoftHsm, kind: KeyKind) -> str | None:
    """What the token lacks for keys of a kind."""
    if kind.value.startswith("mldsa"):
        return NO_MLDSA
    return TPM_LACKS.get(kind) if isinstance(hsm, Tpm) else None


def test_keys_are_made_and_sign_or_it_is_said_what_the_token_lacks(hsm: SoftHsm, access: TokenAccess) -> None:
    with token_process(access) as token:
        for kind in KeyKind:
            name, lack = TokenKeyName("kinds", kind, 1), lacks(hsm, kind)
            if lack is not None:
                with pytest.raises(CapabilityMissing) as said:
                    token.perform(calls.generate(name))
                assert str(said.value).startswith(f"token plexi has no {kind} keys ({lack}); allowed: ")
                continue
            made = token.perform(calls.generate(name))
            assert (made.is_sealed_in, made.was_never_extractable, made.is_local) == (True, True, True)
            assert set(made.uses) == ({"encrypt", "decrypt"} if kind.is_secret else {"sign"})
            if not kind.is_secret:
                assert_signs(token, KeyAddress.of(name))
            token.perform(calls.destroy(KeyAddress.of(name)))
            assert token.perform(calls.keys()) == []


def assert_signs(token: TokenProcess, address: KeyAddress) -> None:
    public = public_key_of(token.perform(calls.public_parts(address)))
    request = signing_request(("localhost",), token_private_key(public, address, token.perform))
    assert x509.load_der_x509_csr(request).is_signature_valid


def test_a_token_tests_itself(hsm: SoftHsm, access: TokenAccess) -> None:
    report = answered(hsm, access, "test", "--seconds", "0.1")
    assert report["ok"], report["checks"]
    in_token = {one["operation"] for one in report["measured"] if one["where"] == "token"}
    assert {"key generation (ECDSA P-256)", "signing (ECDSA P-256)", "signing (RSA-3072, PSS)"} <= in_token
    assert ("AES-256-GCM, 1 KiB" in in_token) is not isinstance(hsm, Tpm)


def answered(hsm: SoftHsm, access: TokenAccess, *words: str) -> Any:
    """What a command of `plexigate hsm` answers in JSON."""
    pin = hsm.pin_file(access.pin.reveal())
    token = ("--module", str(hsm.module), "--token", "plexi", "--pin-file", str(pin), "--json")
    done = prepared.run([PLEXIGATE, "hsm", *words, *token], {"STATE_DIRECTORY": str(hsm.directory / "state")})
    assert done.returncode == 0, done
    return json.loads(done.stdout)
