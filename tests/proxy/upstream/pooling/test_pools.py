"""What pools report, and what they say of a dial that failed."""

from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.pooling.pools import PoolFigures, dial_failure


class Owner:
    """Remembers the faults that it was told."""

    keeps_idle = True

    def __init__(self) -> None:
        self.faults: list[UpstreamFault | None] = []

    def dialled(self, fault: UpstreamFault | None) -> None:
        self.faults.append(fault)


def test_failure_of_the_server_is_told_as_it_is() -> None:
    owner, failure = Owner(), UpstreamFailure(UpstreamFault.TLS, "no certificate")
    assert dial_failure(owner, "http://a:1", failure) is failure
    assert owner.faults == [UpstreamFault.TLS]


def test_error_of_ours_is_no_fault_of_the_server() -> None:
    owner = Owner()
    failure = dial_failure(owner, "http://a:1", ValueError())
    assert (failure.fault, failure.detail, owner.faults) == (UpstreamFault.UNREACHABLE, "http://a:1", [])


def test_figures_name_streams_where_there_are_some() -> None:
    assert str(PoolFigures(3, 1, 2, 4, 0)) == "open=3 idle=1 dialling=2 waiting=4"
    assert str(PoolFigures(3, 1, 2, 4, 5)).endswith(" streams=5")
