"""Which upstream a server name leads to."""

import pytest

from proxy.downstream.service.relay_rules import RelayRules

BY_NAME = {"xmpp.test": "xmpp", "*.rooms.test": "rooms"}


@pytest.mark.parametrize(
    ("name", "found"),
    [("xmpp.test", "xmpp"), ("a.rooms.test", "rooms"), ("a.b.rooms.test", "irc"), ("other.test", "irc"), (None, "irc")],
)
def test_exact_name_then_wildcard_then_all(name: str | None, found: str) -> None:
    assert RelayRules(1.0, 1.0, "irc", BY_NAME).upstream_for(name) == found
    only = RelayRules(1.0, 1.0, None, BY_NAME).upstream_for(name)
    assert only == (None if found == "irc" else found)
