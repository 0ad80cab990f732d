"""What is measured in a token leaves nothing behind."""

import pytest

from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName

KEYS = {"ECDSA": KeyKind.ECDSA_P256, "RSA-PSS": KeyKind.RSA_3072, "AES-256-GCM": KeyKind.AES_256}


@pytest.mark.parametrize(("what", "kind"), KEYS.items())
def test_operations_are_timed(token: TokenProcess, what: str, kind: KeyKind) -> None:
    name = TokenKeyName("probe", kind, 1)
    token.perform(calls.generate(name))
    taken = token.perform(calls.measure(what, KeyAddress.of(name), 5, 10.0))
    assert len(taken) == 5
    assert all(0 < one < 5 for one in taken)


def test_key_generation_is_timed_and_undone(token: TokenProcess) -> None:
    token.perform(calls.generate(TokenKeyName("plexigate-probe", KeyKind.ECDSA_P256, 1)))  # left by one that was killed
    assert len(token.perform(calls.measure("key generation", None, 3, 10.0))) == 3
    assert token.perform(calls.keys()) == []


def test_a_measurement_ends_when_its_time_is_over(token: TokenProcess) -> None:
    assert len(token.perform(calls.measure("key generation", None, 1_000, 0.0))) == 1
