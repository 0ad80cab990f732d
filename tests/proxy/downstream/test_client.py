"""What upstreams and the log are told about a client."""

from proxy.downstream.client import ClientFacts
from tests.fakes_http import HYBRID, established


def test_a_client_is_described_once() -> None:
    facts = ClientFacts("::ffff:192.0.2.7", "public", established(), True)  # noqa: FBT003 - a fact
    assert (facts.peer.address, facts.peer.is_trusted) == (b"192.0.2.7", True)
    assert facts.peer is facts.peer
    assert (facts.record.client, facts.record.listener, facts.record.group) == (
        "::ffff:192.0.2.7",
        "public",
        HYBRID.name,
    )
    assert facts.record is facts.record
