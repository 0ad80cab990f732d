"""Whether a connection may go on under another configuration."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from config.schema import HttpProtocol
from proxy.downstream.standing import NoLongerWelcome, standing
from proxy.tls.groups import NamedGroup
from proxy.tls.handshake_policy import HandshakePolicy
from tests.fakes_http import CLASSICAL, HYBRID, established, handshake_policy, server_identity

PRESENT = established()


def test_same_policy_changes_nothing() -> None:
    policy = handshake_policy(identities=[PRESENT.identity])
    assert standing(PRESENT, "public", {"public": policy}) is PRESENT


def test_identity_of_the_same_name_brings_its_names_of_now() -> None:
    identity = server_identity("chat", "chat.test", "new.test")
    now = standing(PRESENT, "public", {"public": handshake_policy(identities=[identity])})
    assert now.identity is identity
    assert now == replace(PRESENT, identity=identity)


def test_default_identity_still_answers_for_who_named_none() -> None:
    nameless = replace(PRESENT, server_name=None)
    policy = handshake_policy(identities=[PRESENT.identity], default=PRESENT.identity)
    assert standing(nameless, "public", {"public": policy}) is nameless
    with pytest.raises(NoLongerWelcome):
        standing(nameless, "public", {"public": handshake_policy(identities=[PRESENT.identity])})


def test_unknown_group_is_no_reason() -> None:
    """A resumption without a key exchange, or a group that nobody could name, was judged at the handshake."""
    unknown = established(group=None)
    policy = handshake_policy(HYBRID, identities=[unknown.identity])
    assert standing(unknown, "public", {"public": policy}) is unknown


@pytest.mark.parametrize("protocol", list(HttpProtocol))
def test_protocol_that_a_reload_takes_away_is_a_reason(protocol: HttpProtocol) -> None:
    present = replace(PRESENT, protocol=protocol)
    (other,) = set(HttpProtocol) - {protocol}
    same = handshake_policy(identities=[PRESENT.identity], protocols=[protocol])
    assert standing(present, "public", {"public": same}) is present
    without = handshake_policy(identities=[PRESENT.identity], protocols=[other])
    with pytest.raises(NoLongerWelcome) as caught:
        standing(present, "public", {"public": without})
    assert caught.value.reason == f"a reload forbids its protocol {protocol}"


@pytest.mark.parametrize(
    ("group", "policies", "reason"),
    [
        (HYBRID, {}, "a reload removed its listener"),
        (HYBRID, {"other": handshake_policy()}, "a reload removed its listener"),
        (CLASSICAL, {"public": handshake_policy(HYBRID)}, "a reload forbids its key exchange group X25519"),
        (
            HYBRID,
            {"public": handshake_policy(identities=[server_identity("chat", "other.test")])},
            "a reload gave its server name to another identity or to none",
        ),
        (
            HYBRID,
            {"public": handshake_policy(identities=[server_identity("second")])},
            "a reload gave its server name to another identity or to none",
        ),
    ],
)
def test_what_a_client_could_not_have_now_it_loses(
    group: NamedGroup, policies: Mapping[str, HandshakePolicy], reason: str
) -> None:
    with pytest.raises(NoLongerWelcome) as caught:
        standing(established(group=group), "public", policies)
    assert (caught.value.reason, str(caught.value)) == (reason, reason)
