"""The sealing key in a real token."""

import os
import signal
import subprocess
from dataclasses import replace

import pytest

from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.calls import Answer, Call
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import CallFailed
from certs.hsm.facts import KeyAddress, TokenFacts
from certs.hsm.key_kinds import KeyKind
from certs.sealing.errors import KeyUnavailable, Tampered
from certs.sealing.held_key import HeldKey
from certs.sealing.importing import ImportRefused
from certs.sealing.sealing_key import (
    TokenKeyImporter,
    TokenSealingKey,
    kind_in,
    label_in_token,
    named_version,
    sealer_in_token,
    sealing_key_name,
)
from tests.hsm_tokens import token_process, tool

LABEL = "ticket keys: main"
PLEXI = TokenFacts(0, "plexi", "42", "", "", 0, None, None, ("CKM_AES_KEY_GEN", "CKM_AES_GCM"))


@pytest.mark.parametrize(
    ("mechanisms", "kind"),
    [
        (
            ("CKM_RSA_PKCS_KEY_PAIR_GEN", "CKM_SHA256_RSA_PKCS", "CKM_RSA_PKCS_PSS", "CKM_RSA_PKCS_OAEP"),
            KeyKind.RSA_3072,
        ),
        (("CKM_EC_KEY_PAIR_GEN", "CKM_ECDSA", "CKM_ECDH1_DERIVE"), KeyKind.ECDSA_P256),
    ],
)
def test_a_token_without_aes_gets_a_key_pair(token: TokenProcess, mechanisms: tuple[str, ...], kind: KeyKind) -> None:
    importer = TokenKeyImporter(token, replace(PLEXI, mechanisms=mechanisms))
    with pytest.raises(
        ImportRefused, match=rf"^token plexi cannot take .*CKM_AES.*; allowed: --no-recovery.* kind {kind}"
    ):
        importer.require_import()
    sealer = importer.generate()
    assert sealer.open(sealer.seal(b"ticket keys", LABEL), LABEL) == b"ticket keys"
    (made,) = token.perform(calls.keys())
    assert (made.label, made.is_sealed_in) == (sealing_key_name(kind=kind).label, True)
    assert "sign" not in made.uses
    with pytest.raises(ImportRefused, match="already has a key"):
        importer.require_free()


def test_a_token_that_opens_nothing_is_said_to_be_none_for_sealing(token: TokenProcess) -> None:
    importer = TokenKeyImporter(token, replace(PLEXI, mechanisms=()))
    with pytest.raises(ImportRefused, match="; allowed: --key-file; or another token"):
        importer.require_import()


def test_seals_and_opens_and_finds_what_was_tampered_with(token: TokenProcess) -> None:
    sealer = TokenKeyImporter(token, PLEXI).generate()
    sealed = sealer.seal(b"ticket keys", LABEL)
    assert sealer.open(sealed, LABEL) == b"ticket keys"
    assert sealer.key_id == sealing_key_name().id
    assert sealer.has_shares is False
    with pytest.raises(Tampered):
        sealer.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), LABEL)


def test_an_imported_key_is_the_same_key(token: TokenProcess) -> None:
    importer = TokenKeyImporter(token, PLEXI, 3)
    importer.require_free()
    secret = bytearray(range(32))
    assert importer.envelope_id(secret) == sealing_key_name(3).id
    imported = importer.import_key(secret)
    assert imported.has_shares
    assert sealer_in_token(token, KeyAddress.of(sealing_key_name(3))).has_shares
    nonce, sealed = imported.encrypt(b"plain", b"associated")
    assert HeldKey(secret).decrypt(nonce, sealed, b"associated") == b"plain"
    with pytest.raises(ImportRefused, match=r"token plexi already has a key sealing\.aes-256\.v3"):
        importer.require_free()
    with pytest.raises(ImportRefused):
        importer.import_key(secret)
    with pytest.raises(ImportRefused):
        importer.generate()


def test_a_key_that_is_gone_is_not_taken_for_tampering(token: TokenProcess) -> None:
    importer = TokenKeyImporter(token, PLEXI)
    sealer = importer.generate()
    sealed = sealer.seal(b"plain", LABEL)
    token.perform(calls.destroy(KeyAddress.of(sealing_key_name())))
    with pytest.raises(KeyUnavailable):
        sealer.open(sealed, LABEL)
    with pytest.raises(KeyUnavailable):
        sealer.seal(b"plain", LABEL)


def test_a_process_that_is_gone(token: TokenProcess) -> None:
    key = TokenSealingKey.named(token, sealing_key_name())
    os.kill(token.pid, signal.SIGKILL)
    with pytest.raises(KeyUnavailable):
        key.decrypt(bytes(12), bytes(16), b"")
    with pytest.raises(ImportRefused):
        TokenKeyImporter(token, PLEXI).require_free()


class FailingProcess:
    """A process whose token answers every call with an error."""

    def perform(self, call: Call[Answer]) -> Answer:
        raise CallFailed(call.operation, "CKR_DEVICE_ERROR")


def test_a_token_that_fails_is_not_taken_for_tampering() -> None:
    key = TokenSealingKey.named(FailingProcess(), sealing_key_name())
    with pytest.raises(KeyUnavailable, match="CKR_DEVICE_ERROR"):
        key.decrypt(bytes(12), bytes(16), b"")


def made_elsewhere(access: TokenAccess, kind: str, usage: str, label: str) -> KeyAddress:
    """A key as a vendor's tool makes one for decrypting or agreeing."""
    tool_of = tool("pkcs11-tool", "opensc")
    login = ["--module", str(access.module), "--token-label", "plexi", "--login", "--pin", access.pin.reveal()]
    made = ["--keypairgen", "--key-type", kind, "--label", label, "--id", "77", usage]
    subprocess.run([tool_of, *login, *made], check=True, capture_output=True)
    return KeyAddress(label)


@pytest.mark.parametrize(("kind", "usage"), [("EC:prime256v1", "--usage-derive"), ("rsa:2048", "--usage-decrypt")])
def test_a_key_pair_stands_in_where_a_token_has_no_aes(access: TokenAccess, kind: str, usage: str) -> None:
    address = made_elsewhere(access, kind, usage, "sealing")
    with token_process(access) as process:
        sealer = sealer_in_token(process, address)
        sealed = sealer.seal(b"ticket keys", LABEL)
        assert sealer.open(sealed, LABEL) == b"ticket keys"
        with pytest.raises(Tampered):
            sealer.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), LABEL)
        at = sealed.index(LABEL.encode()) + len(LABEL) + 12  # in what hides the key
        with pytest.raises(Tampered):
            sealer.open(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], LABEL)
        process.perform(calls.destroy(address))
        with pytest.raises(KeyUnavailable):
            sealer.open(sealed, LABEL)


def test_what_seals_is_one_key_of_a_kind_that_can(access: TokenAccess, token: TokenProcess) -> None:
    sealer = TokenKeyImporter(token, PLEXI).generate()
    by_label = sealer_in_token(token, KeyAddress(sealing_key_name().label))
    assert by_label.open(sealer.seal(b"a", LABEL), LABEL) == b"a"
    with pytest.raises(KeyUnavailable, match='has 0 keys with label "none"'):
        sealer_in_token(token, KeyAddress("none"))
    address = made_elsewhere(access, "EC:secp384r1", "--usage-derive", "other")
    with pytest.raises(KeyUnavailable, match="of kind ecdsa-p384; allowed: aes-256"):
        sealer_in_token(token, address)


def test_a_key_is_found_by_what_envelopes_call_it_the_first_that_is_there(
    access: TokenAccess, token: TokenProcess
) -> None:
    other = made_elsewhere(access, "rsa:2048", "--usage-decrypt", "sealing.rsa-2048.v1")
    for version in (2, 1):
        token.perform(calls.generate(sealing_key_name(version)))
    first, second, gone = (sealing_key_name(version).id for version in (1, 2, 3))
    assert label_in_token(token, (gone, second, first)) == "sealing.aes-256.v2"
    assert label_in_token(token, (first,)) == "sealing.aes-256.v1"
    assert label_in_token(token, (gone, sealer_in_token(token, other).key_id)) is None, "that is not of our scheme"


def test_the_version_is_in_the_name_that_envelopes_use() -> None:
    assert [named_version(sealing_key_name(version).id) for version in (1, 700)] == [1, 700]
    for other in (bytes(16), bytes(range(16)), sealing_key_name(1, KeyKind.RSA_3072).id):
        assert named_version(other) is None


def test_the_kind_that_a_token_can_have(token: TokenProcess) -> None:
    (facts,) = (one for one in token.perform(calls.tokens()) if one.label == "plexi")
    assert kind_in(facts) is KeyKind.AES_256
    without = tuple(one for one in facts.mechanisms if one != "CKM_AES_GCM")
    assert kind_in(replace(facts, mechanisms=without)) is KeyKind.RSA_3072
