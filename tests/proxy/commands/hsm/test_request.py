"""A certificate request that a token has signed, as openssl and cryptography see it."""

import subprocess
from ipaddress import IPv4Address

import pytest
from cryptography import x509

from config.values.problems import shown
from proxy.commands.hsm.request import subjects_of
from proxy.commands.hsm.sources import NotChosen
from tests.hsm_tokens import PIN, tool
from tests.proxy.commands.hsm.conftest import Command


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-3072"])
def test_request_is_for_the_names_and_signed_by_the_key(command: Command, kind: str) -> None:
    assert command.run("generate", "chat", "--kind", kind).exit_code == 0
    answer = command.run("request", f"chat.{kind}.v1", "--name", "chat.example.org", "--name", "192.0.2.1")
    assert answer.exit_code == 0, answer.output
    made = x509.load_pem_x509_csr(answer.stdout.encode())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("chat.example.org"), x509.IPAddress(IPv4Address("192.0.2.1"))]
    verified = subprocess.run(
        ["openssl", "req", "-verify", "-noout"], input=answer.stdout, text=True, capture_output=True, check=False
    )
    assert verified.returncode == 0, verified.stderr


def test_key_that_is_not_there_is_named(command: Command) -> None:
    answer = command.run("request", "chat.ecdsa-p256.v9", "--name", "chat.example.org")
    assert answer.exit_code == 1
    assert "chat.ecdsa-p256.v9" in answer.output


def test_of_keys_with_one_label_an_id_names_one(command: Command) -> None:
    for number in ("01", "02"):
        keys = ("--keypairgen", "--key-type", "EC:prime256v1", "--usage-sign", "--label", "twin", "--id", number)
        login = ("--module", str(command.hsm.module), "--token-label", "plexi", "--login", "--pin", PIN)
        subprocess.run([tool("pkcs11-tool", "opensc"), *login, *keys], capture_output=True, check=True)
    answer = command.run("request", "twin", "--name", "chat.example")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert '2 keys with label "twin"; allowed: a label and an id that only one key has' in answer.stderr
    made = [
        x509.load_pem_x509_csr(command.run("request", "twin", "--id", number, "--name", "chat.example").stdout.encode())
        for number in ("01", "02")
    ]
    assert all(one.is_signature_valid for one in made)
    assert made[0].public_key() != made[1].public_key()
    missing = command.run("request", "twin", "--id", "03", "--name", "chat.example")
    assert 'no key with label "twin" and id 03' in missing.stderr
    assert "allowed: hexadecimal digits" in command.run("request", "twin", "--id", "zz", "--name", "a.example").stderr


@pytest.mark.parametrize(
    "name",
    [
        "ch\u00e4t.example",
        "a b;c",
        "",
        "chat.example.",
        "https://chat.example",
        "*.*.example",
        "chat.*.example",
        "192.0.2.300",
        "a" * 64 + ".example",
    ],
)
def test_name_that_cannot_stand_in_a_certificate_is_refused(command: Command, name: str) -> None:
    """Before anybody asks for a token."""
    answer = command.plain("request", "chat.ecdsa-p256.v1", "--name", "chat.example", "--name", name)
    assert answer.exit_code == 1
    assert f"plexigate: --name: found {shown(name)}; allowed: DNS names" in answer.stderr
    assert answer.stdout == ""


def test_names_are_those_of_a_configuration() -> None:
    assert subjects_of(["*.Chat.example", "xn--cht-pla.example", "2001:DB8::1"]) == [
        "*.chat.example",
        "xn--cht-pla.example",
        "2001:db8::1",
    ]


def test_a_request_without_a_name_is_for_nobody() -> None:
    with pytest.raises(NotChosen, match="--name: found none; allowed: one or more"):
        subjects_of([])
