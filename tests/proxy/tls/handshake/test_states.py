"""The states of a handshake: the table names each of them, and each says what a report of its failure may name."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.handshake.states import OVER, Choosing, HandshakeState, Reading
from proxy.tls.openssl.context import ServerContext, build_alert_context
from proxy.tls.wire.client_hello import parse_client_hello
from proxy.tls.wire.records import ClientHelloReader
from tests.proxy.tls.hellos import Hello

STATES = [state.__name__ for state in get_args(HandshakeState)]


def table() -> dict[str, str]:
    """What follows each state, as the docstring of the module has it."""
    # from the source: a compiled module has no docstring
    text = ast.get_docstring(
        ast.parse(Path(__file__).parents[4].joinpath("proxy/tls/handshake/states.py").read_text(encoding="utf-8"))
    )
    assert text
    rows = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    start = rows[0].index("what follows")
    return {row.split()[0]: row[start:] for row in rows[2:] if not row.startswith(" ")}


def test_the_table_has_every_state_once_and_in_order() -> None:
    assert list(table()) == STATES


@pytest.mark.parametrize("state", STATES)
def test_every_state_but_the_first_follows_another_one_and_all_may_end(state: str) -> None:
    followed = [before for before, after in table().items() if state in after]
    assert bool(followed) is (state != "Reading")
    assert ("Over" in table()[state]) is (state != "Over")


def test_the_report_of_a_failure_names_what_is_known_by_then() -> None:
    reading = Reading(ClientHelloReader(65_536, 65_536))
    assert (reading.hello, reading.identity, OVER.hello, OVER.identity) == (None, None, None, None)
    hello = parse_client_hello(Hello().message)
    choosing = Choosing(hello)
    assert (choosing.hello, choosing.identity) == (hello, None)
    choosing.identity = ServerIdentity("chat", frozenset({"chat.test"}), ServerContext(build_alert_context()))
    assert choosing.identity.name == "chat"
