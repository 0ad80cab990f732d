"""What parent and workers say to each other."""

import json

import pytest

from config.pkcs11_uri import Pkcs11Uri
from proxy.processes.questions import (
    challenges_as_json,
    challenges_from_json,
    key_as_json,
    key_from_json,
    tickets_as_json,
    tickets_from_json,
)
from proxy.tls.challenge import TlsChallenge
from proxy.tls.tickets import TicketSecrets


@pytest.mark.parametrize("previous", [None, b"\x02" * 32])
def test_secrets_of_tickets_come_back(previous: bytes | None) -> None:
    tickets = TicketSecrets(b"\x01" * 32, previous)
    assert tickets_from_json(json.loads(json.dumps(tickets_as_json(tickets)))) == tickets


@pytest.mark.parametrize("identifier", [None, b"\x00\x0a"])
def test_a_key_comes_back(identifier: bytes | None) -> None:
    key = Pkcs11Uri("plexi", "42", object="chat", id=identifier)
    assert key_from_json(json.loads(json.dumps(key_as_json(key)))) == key


def test_challenges_come_back() -> None:
    pending = [TlsChallenge("chat.test", bytes(range(32))), TlsChallenge("192.0.2.1", bytes(32))]
    tokens = {"token": "token.thumbprint"}
    assert challenges_from_json(json.loads(json.dumps(challenges_as_json(pending, tokens)))) == (pending, tokens)
