"""Handshakes and requests as they are counted, and counters that counted a little of everything."""

from collections.abc import Iterable
from dataclasses import replace

from proxy.observe.counts.counters import Counters
from proxy.observe.logs.access_log import ClientRecord, RequestRecord
from proxy.tls.handshake.group_choice import HandshakeOutcome
from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.handshake.results import Established
from proxy.tls.openssl.context import ServerContext, build_alert_context
from proxy.tls.wire.groups import KNOWN

CHAT = ServerIdentity("chat", frozenset({"chat.test"}), ServerContext(build_alert_context()))
HANDSHAKE = Established("chat.test", CHAT, KNOWN["x25519mlkem768"], HandshakeOutcome.HYBRID, is_resumed=False)
CLASSICAL = replace(HANDSHAKE, group=KNOWN["x25519"], outcome=HandshakeOutcome.CLIENT_CANNOT)
CLIENT = ClientRecord(
    "192.0.2.1", "public", "chat.test", "X25519MLKEM768", "hybrid", resumed=False, protocol="http/1.1"
)
REQUEST = RequestRecord(
    CLIENT, None, 0.0, 200, 10, 2_000, 0.004, 0.2, "http://a:1", "chat.test/", "id", error=None, messages=None
)


def counters_of(handshakes: Iterable[Established]) -> Counters:
    """Count these, and what fails, is refused and asked for."""
    counters = Counters()
    for result in handshakes:
        counters.established("public", result, 0.002)
    counters.refused("admin", None)
    for reason in ("policy", "timeout", "policy"):
        counters.failure("public", reason)
    for status in (200, 204, 404, 499, 502, 101):
        counters.request(replace(REQUEST, status=status))
    return counters
