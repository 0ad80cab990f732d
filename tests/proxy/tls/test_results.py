"""Results of a handshake: what follows from what is in them."""

from typing import TYPE_CHECKING, cast

from proxy.tls.groups import KNOWN
from proxy.tls.identities import ServerIdentity
from proxy.tls.policy import HandshakeOutcome
from proxy.tls.results import Established, Failed, FailureReason

if TYPE_CHECKING:
    from proxy.tls.context import ServerContext

CHAT = ServerIdentity("chat", frozenset({"chat.test"}), cast("ServerContext", None))


def test_a_group_is_shown_by_its_name_and_one_that_nobody_knows_as_unknown() -> None:
    result = Established("chat.test", CHAT, KNOWN["x25519mlkem768"], HandshakeOutcome.HYBRID, is_resumed=False)
    assert result.group_name == "X25519MLKEM768"
    assert result._replace(group=None).group_name == "unknown"
    assert (result.signing_seconds, result.breaks_under_require) == (None, False)


def test_only_the_policy_refuses() -> None:
    refused = {reason for reason in FailureReason if Failed(reason, "", None, (), None, None).is_refusal_by_policy}
    assert refused == {FailureReason.POLICY}
