"""The figures of the last line: sums over what the workers counted, in the words of the counters."""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from proxy.observe.access_log import ClientRecord, RequestRecord
from proxy.observe.counters import Counters
from proxy.observe.merging import merge
from proxy.observe.totals import summary, totals
from proxy.tls.groups import KNOWN
from proxy.tls.identities import ServerIdentity
from proxy.tls.policy import HandshakeOutcome
from proxy.tls.results import Established

if TYPE_CHECKING:
    from proxy.tls.context import ServerContext

CHAT = ServerIdentity("chat", frozenset({"chat.test"}), cast("ServerContext", None))
HYBRID = Established("chat.test", CHAT, KNOWN["x25519mlkem768"], HandshakeOutcome.HYBRID, is_resumed=False)
CLASSICAL = HYBRID._replace(group=KNOWN["x25519"], outcome=HandshakeOutcome.CLIENT_CANNOT)
CLIENT = ClientRecord("192.0.2.1", "public", "chat.test", "X25519MLKEM768", "hybrid", resumed=False)
REQUEST = RequestRecord(
    CLIENT, None, 0.0, 200, 10, 2_000, 0.004, 0.2, "http://a:1", "chat.test/", "id", error=None, messages=None
)


def worker() -> Counters:
    """What one worker counted."""
    counters = Counters()
    for result in (HYBRID, HYBRID._replace(is_resumed=True), CLASSICAL):
        counters.established("public", result, 0.002)
    counters.refused("admin", None)
    for reason in ("policy", "timeout", "policy"):
        counters.failure("public", reason)
    for status in (200, 204, 404, 499, 502, 101):
        counters.request(replace(REQUEST, status=status))
    return counters


def test_totals_are_those_of_all_workers_without_the_details_of_handshakes() -> None:
    assert totals(merge([worker().snapshot(), worker().snapshot()])) == {
        "handshakes": [
            {"listener": "admin", "identity": "-", "outcome": "refused", "count": 2},
            {"listener": "public", "identity": "chat", "outcome": "client_cannot", "count": 2},
            {"listener": "public", "identity": "chat", "outcome": "hybrid", "count": 4},
        ],
        "failures": [
            {"listener": "public", "reason": "policy", "count": 4},
            {"listener": "public", "reason": "timeout", "count": 2},
        ],
        "requests": [
            {"listener": "public", "status": "1xx", "count": 2},
            {"listener": "public", "status": "2xx", "count": 4},
            {"listener": "public", "status": "4xx", "count": 4},
            {"listener": "public", "status": "5xx", "count": 2},
        ],
    }


def test_summary_adds_up() -> None:
    assert summary(worker().snapshot()) == ("6 requests; handshakes: 1 client_cannot, 2 hybrid, 1 refused; failures: 3")


def test_nothing_counted_is_nothing() -> None:
    for nothing in ({}, Counters().snapshot()):
        assert totals(nothing) == {"handshakes": [], "failures": [], "requests": []}
        assert summary(nothing) == "0 requests; handshakes: none; failures: 0"
