"""Each kind of failure has its status and its sentence; details are for the log only."""

import pytest

from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault


@pytest.mark.parametrize("fault", UpstreamFault)
def test_every_fault_blames_the_upstream_and_names_nothing_of_it(fault: UpstreamFault) -> None:
    assert fault.status in {501, 502, 503, 504}
    assert fault.sentence[0].islower()
    assert not fault.sentence.endswith(".")


def test_statuses_follow_the_kind() -> None:
    late = {UpstreamFault.CONNECT_TIMEOUT, UpstreamFault.FIRST_BYTE_TIMEOUT, UpstreamFault.RESPONSE_STALLED}
    passing = {UpstreamFault.BUSY, UpstreamFault.ALL_DOWN, UpstreamFault.NO_ROOM, UpstreamFault.REFUSED}
    assert {fault for fault in UpstreamFault if fault.status == 504} == late
    assert {fault for fault in UpstreamFault if fault.status == 503} == passing
    assert {fault for fault in UpstreamFault if fault.status == 501} == {UpstreamFault.NO_WEBSOCKETS}


def test_failure_says_what_and_where() -> None:
    failure = UpstreamFailure(UpstreamFault.UNREACHABLE, "http://127.0.0.1:8000: refused")
    assert str(failure) == "the upstream could not be reached: http://127.0.0.1:8000: refused"
    assert (failure.fault, failure.detail) == (UpstreamFault.UNREACHABLE, "http://127.0.0.1:8000: refused")


def test_failure_without_detail_is_its_sentence() -> None:
    assert str(UpstreamFailure(UpstreamFault.BUSY)) == "all connections to the upstream are in use"
