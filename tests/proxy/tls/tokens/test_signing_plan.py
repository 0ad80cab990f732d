"""Who signs for which client."""

import ssl

from proxy.tls.tokens.signing_plan import SigningPlan, TokenCredential

IN_TOKEN = TokenCredential(())
IN_FILE = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
PLAN = SigningPlan(((0x0403, IN_TOKEN), (0x0804, IN_FILE), (0x0805, IN_FILE)))


def test_first_scheme_of_ours_that_the_client_lists() -> None:
    assert PLAN.signers_for((0x0805, 0x0403)) == [IN_TOKEN, IN_FILE]
    assert PLAN.signers_for((0x0806, 0x0805)) == [IN_FILE]


def test_each_once() -> None:
    assert PLAN.signers_for((0x0804, 0x0805)) == [IN_FILE]


def test_nobody_for_who_lists_none_of_ours() -> None:
    assert PLAN.signers_for((0x0906,)) == []
    assert PLAN.signers_for(()) == []


def test_turns_only_where_keys_are_used_in_turn() -> None:
    assert [TokenCredential(()).turn() for _ in range(2)] == [None, None]
    spread = TokenCredential((), is_spread=True)
    assert [spread.turn() for _ in range(3)] == [0, 1, 2]
