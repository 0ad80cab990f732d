"""Keys are made in the token as asked for, or not at all; what is destroyed is gone."""

import re
import subprocess
import sys
import textwrap

import pytest

from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import (
    CallFailed,
    CapabilityMissing,
    KeyAmbiguous,
    KeyExists,
    KeyMissing,
    KeyNotAsAsked,
    KeyNotGone,
)
from certs.hsm.facts import KeyAddress, KeyClass
from certs.hsm.key_kinds import KeyKind, SignatureMechanism
from certs.hsm.key_names import TokenKeyName
from tests.hsm_tokens import PIN, SoftHsm, dishonest, through, token_process, tool

P256 = TokenKeyName("chat", KeyKind.ECDSA_P256, 1)
SEAL = TokenKeyName("seal", KeyKind.AES_256, 1)
SIZES = {KeyKind.ECDSA_P256: 256, KeyKind.ECDSA_P384: 384, KeyKind.RSA_3072: 3072, KeyKind.RSA_4096: 4096}


def pkcs11_tool(hsm: SoftHsm, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Another program's look at the token."""
    command = [
        tool("pkcs11-tool", "opensc"),
        "--module",
        str(hsm.module),
        "--token-label",
        "plexi",
        "--login",
        "--pin",
        PIN,
    ]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def values_seen(hsm: SoftHsm) -> list[str]:
    """What a program of its own gets that asks for CKA_VALUE of every key."""
    script = textwrap.dedent("""
        import sys, pkcs11
        from pkcs11 import Attribute, ObjectClass
        token = pkcs11.lib(sys.argv[1]).get_token(token_label="plexi")
        session = token.open(user_pin=sys.stdin.read())
        for wanted in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY):
            for key in session.get_objects({Attribute.CLASS: wanted}):
                try:
                    print(wanted.name, key[Attribute.VALUE].hex())
                except pkcs11.PKCS11Error as error:
                    print(wanted.name, type(error).__name__)
    """)
    command = [sys.executable, "-c", script, str(hsm.module)]
    return subprocess.run(command, input=PIN, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(("kind", "size"), SIZES.items())
def test_a_private_key_is_made_inside_signs_only_and_stays(token: TokenProcess, kind: KeyKind, size: int) -> None:
    name = TokenKeyName("chat", kind, 1)
    key = token.perform(calls.generate(name))
    assert (key.name, key.kind, key.size, key.key_class) == (name, kind.value, size, KeyClass.PRIVATE)
    assert key.is_sign_only
    assert key.is_sealed_in
    assert key.was_always_sensitive
    assert key.was_never_extractable
    assert key.is_local


def test_a_secret_key_is_made_inside_and_seals_only(token: TokenProcess) -> None:
    key = token.perform(calls.generate(SEAL))
    assert (key.name, key.size, set(key.uses)) == (SEAL, 256, {"encrypt", "decrypt"})
    assert key.is_sealed_in
    assert key.was_never_extractable


def test_another_program_cannot_read_what_is_secret(hsm: SoftHsm, token: TokenProcess) -> None:
    token.perform(calls.generate(P256))
    token.perform(calls.generate(SEAL))
    shown = pkcs11_tool(hsm, "--list-objects", "--type", "privkey").stdout
    assert "sensitive, always sensitive, never extractable, local" in shown
    assert re.search(r"Usage: +sign\n", shown)
    assert values_seen(hsm) == ["PRIVATE_KEY AttributeSensitive", "SECRET_KEY AttributeSensitive"]


@pytest.mark.parametrize("kind", [KeyKind.MLDSA_44, KeyKind.MLDSA_65, KeyKind.MLDSA_87])
def test_what_the_token_cannot_do_is_said_clearly(token: TokenProcess, kind: KeyKind) -> None:
    with pytest.raises(
        CapabilityMissing, match=r"plexi has no mldsa-.. keys .*allowed: an ECDSA or RSA key here, and ML-DSA"
    ):
        token.perform(calls.generate(TokenKeyName("chat", kind, 1)))


def test_a_name_is_given_once(token: TokenProcess) -> None:
    token.perform(calls.generate(P256))
    with pytest.raises(KeyExists):
        token.perform(calls.generate(P256))
    assert len(token.perform(calls.keys())) == 1


@pytest.mark.parametrize("name", [P256, SEAL])
def test_a_name_that_another_program_takes_meanwhile_is_left_to_it(
    hsm: SoftHsm, access: TokenAccess, name: TokenKeyName
) -> None:
    with dishonest(hsm, "twin") as racing, token_process(through(access, racing.module)) as process:
        with pytest.raises(KeyExists):
            process.perform(calls.generate(name))
        assert [key.name for key in process.perform(calls.keys())] == [name]
    assert pkcs11_tool(hsm, "--list-objects", "--type", "pubkey").stdout.count("Public Key") == (name is P256)


def test_keys_are_listed_by_label(token: TokenProcess) -> None:
    for name in (SEAL, P256):
        token.perform(calls.generate(name))
    assert [key.name for key in token.perform(calls.keys())] == [P256, SEAL]


def test_a_key_of_somebody_else_is_listed_as_what_it_is(hsm: SoftHsm, access: TokenAccess) -> None:
    assert (
        pkcs11_tool(hsm, "--keypairgen", "--key-type", "EC:secp521r1", "--label", "odd", "--id", "07").returncode == 0
    )
    assert pkcs11_tool(hsm, "--keygen", "--key-type", "AES:16", "--label", "small", "--extractable").returncode == 0
    assert pkcs11_tool(hsm, "--keygen", "--key-type", "GENERIC:64", "--label", "generic").returncode == 0
    with token_process(access) as process:
        found = {key.label: key for key in process.perform(calls.keys())}
    assert (found["odd"].kind, found["odd"].id, found["odd"].name) == ("ecdsa", b"\x07", None)
    assert (found["small"].kind, found["small"].is_extractable) == ("aes-128", True)
    assert found["generic"].kind == "type 0x10"


def test_two_keys_of_one_label_are_ambiguous(hsm: SoftHsm, access: TokenAccess) -> None:
    for number in ("01", "02"):
        pkcs11_tool(hsm, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "twin", "--id", number)
    with token_process(access) as process:
        with pytest.raises(KeyAmbiguous, match='2 keys with label "twin"'):
            process.perform(calls.destroy(KeyAddress("twin")))
        assert process.perform(calls.destroy(KeyAddress("twin", b"\x02"))).id == b"\x02"
        assert [key.id for key in process.perform(calls.keys())] == [b"\x01"]


def test_a_destroyed_key_is_gone_with_its_public_half(hsm: SoftHsm, token: TokenProcess) -> None:
    token.perform(calls.generate(P256))
    assert token.perform(calls.destroy(KeyAddress.of(P256))).name == P256
    assert token.perform(calls.keys()) == []
    assert pkcs11_tool(hsm, "--list-objects").stdout == ""
    with pytest.raises(KeyMissing, match=r"chat.ecdsa-p256.v1"):
        token.perform(calls.sign(KeyAddress.of(P256), SignatureMechanism.ECDSA, bytes(32)))


def test_a_key_from_outside_comes_in_and_never_out(hsm: SoftHsm, token: TokenProcess) -> None:
    key = token.perform(calls.import_secret(SEAL, bytes(range(32))))
    assert key.is_sealed_in
    assert (key.is_local, key.was_never_extractable) == (False, False)
    assert values_seen(hsm) == ["SECRET_KEY AttributeSensitive"]
    with pytest.raises(KeyExists):
        token.perform(calls.import_secret(SEAL, bytes(32)))


def test_a_key_of_another_length_is_not_imported(token: TokenProcess) -> None:
    with pytest.raises(CallFailed, match="ValueError"):
        token.perform(calls.import_secret(SEAL, bytes(16)))


@pytest.mark.parametrize("name", [P256, SEAL])
def test_a_key_that_is_not_as_asked_is_undone(hsm: SoftHsm, access: TokenAccess, name: TokenKeyName) -> None:
    with dishonest(hsm, "extractable") as lying, token_process(through(access, lying.module)) as process:
        with pytest.raises(KeyNotAsAsked, match="CKA_EXTRACTABLE is true, requested false") as caught:
            process.perform(calls.generate(name))
        assert caught.value.is_undone
        assert process.perform(calls.keys()) == []
    assert pkcs11_tool(hsm, "--list-objects").stdout == ""


def test_an_object_that_stays_after_its_destruction_is_found(hsm: SoftHsm, access: TokenAccess) -> None:
    with dishonest(hsm, "undead") as lying, token_process(through(access, lying.module)) as process:
        process.perform(calls.generate(P256))
        with pytest.raises(KeyNotGone, match=r"still has objects of key chat.ecdsa-p256.v1"):
            process.perform(calls.destroy(KeyAddress.of(P256)))
