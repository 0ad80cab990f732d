"""Faults of HTTP/2 peers."""

import pytest

from proxy.http2.wire.errors import ConnectionFault, ErrorCode, StreamFault


def test_the_codes_are_those_of_the_standard() -> None:
    names = (
        *("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED"),
        *("FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM"),
        *("INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"),
    )
    assert [getattr(ErrorCode, name) for name in names] == list(range(14))


@pytest.mark.parametrize("kind", [ConnectionFault, StreamFault])
def test_a_fault_says_why_and_with_which_code(kind: type[ConnectionFault | StreamFault]) -> None:
    fault = kind(ErrorCode.FLOW_CONTROL_ERROR, "window too large")
    assert (fault.code, fault.reason) == (3, "window too large")
    assert str(fault) == "window too large (HTTP/2 error 3)"
