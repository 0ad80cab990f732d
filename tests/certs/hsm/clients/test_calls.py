"""A call is a value with a deadline, and shows none of its arguments."""

from pathlib import Path
from typing import Any

import pytest

from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.clients import calls
from certs.hsm.facts import KeyAddress
from certs.hsm.frames import pack
from certs.hsm.key_kinds import KeyKind, SignatureMechanism
from certs.hsm.key_names import TokenKeyName
from certs.hsm.process.token_process import _Service
from certs.hsm.secret import Secret

KEY = KeyAddress("a")
NAME = TokenKeyName("a", KeyKind.AES_256, 1)
PIN = Secret("geheim")
EACH: list[calls.Call[Any]] = [
    calls.load(Path("/m.so")),
    calls.tokens(),
    calls.find(TokenChoice(slot=1)),
    calls.log_in(TokenAccess(Path("/m.so"), TokenChoice(slot=1), PIN, Path("/l")), 1),
    calls.init_token("plexi", PIN, PIN),
    calls.keys(),
    calls.public_parts(KEY),
    calls.generate(NAME),
    calls.generate_opening(NAME),
    calls.import_secret(NAME, b"geheim"),
    calls.destroy(KEY),
    calls.sign(KEY, SignatureMechanism.ECDSA, b"geheim"),
    calls.encrypt(KEY, b"geheim"),
    calls.decrypt(KEY, calls.Sealed(b"n", b"c")),
    calls.agree(KEY, b"geheim"),
    calls.unwrap(KEY, b"geheim"),
    calls.random(4),
    calls.measure("ECDSA", KEY, 1, 1.0),
    calls.bye(),
]


@pytest.mark.parametrize("call", EACH, ids=lambda call: call.name)
def test_a_call_can_be_sent_and_shows_no_argument(call: calls.Call[Any]) -> None:
    assert pack({"arguments": call.arguments})
    assert "geheim" not in repr(call)
    assert call.seconds > 0


def test_a_token_that_hangs_holds_nobody_for_as_long_as_rsa_keys_take() -> None:
    seconds = {kind: calls.generate(TokenKeyName("a", kind, 1)).seconds for kind in KeyKind}
    assert {kind for kind, one in seconds.items() if one > 20} == {KeyKind.RSA_3072, KeyKind.RSA_4096}


def test_each_call_is_answered_by_the_process() -> None:
    assert {call.name for call in EACH} == set(_Service()._calls)
