"""What upstreams and the log are told about a client."""

from proxy.downstream.client import ClientFacts
from proxy.limits.requests import ClientRates, RequestRate
from proxy.limits.shared import SharedTable
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


def test_a_client_that_is_exempt_never_waits() -> None:
    rate, table = RequestRate.of("chat.test/", 0.5, 1, is_per_client=True), SharedTable.private()
    exempt = ClientFacts("192.0.2.7", "public", established(), is_trusted=False)
    other = ClientFacts("192.0.2.7", "public", established(), is_trusted=False, rates=ClientRates(b"network"))
    assert [exempt.wait(rate, table, 1_000.0) for _ in range(2)] == [0.0, 0.0]
    assert [other.wait(rate, table, 1_000.0) for _ in range(2)] == [0.0, 2.0]
