"""A certificate request that a token has signed, as openssl and cryptography see it."""

import subprocess
from ipaddress import IPv4Address

import pytest
from cryptography import x509

from tests.proxy.hsm.conftest import Command


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


def test_name_that_cannot_stand_in_a_certificate_is_refused(command: Command) -> None:
    assert command.run("generate", "chat").exit_code == 0
    answer = command.run("request", "chat.ecdsa-p256.v1", "--name", "ch\u00e4t.example")
    assert answer.exit_code == 1
    assert "allowed: DNS names" in answer.output
