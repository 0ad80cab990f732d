"""Each end of a connection or a stream has one of few names."""

import pytest

from proxy.http2.wire.causes import ResetCause, connection_reason, reset_cause
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.floods import FloodReason, flood
from proxy.limits.reasons import ConnectionReason

CODES = [code for name, code in vars(ErrorCode).items() if name.isupper()]


@pytest.mark.parametrize("reason", list(FloodReason))
def test_each_flood_has_a_reason_of_its_own(reason: FloodReason) -> None:
    fault = flood(reason, "a sentence")
    assert connection_reason(fault.code, fault.reason) is ConnectionReason(f"http2_{reason}")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ErrorCode.PROTOCOL_ERROR, "http2_protocol_error"),
        (ErrorCode.FRAME_SIZE_ERROR, "http2_protocol_error"),
        (ErrorCode.FLOW_CONTROL_ERROR, "http2_flow_control"),
        (ErrorCode.SETTINGS_TIMEOUT, "http2_settings_timeout"),
        (ErrorCode.STREAM_CLOSED, "http2_closed_stream"),
        (ErrorCode.COMPRESSION_ERROR, "http2_compression"),
        (ErrorCode.ENHANCE_YOUR_CALM, "http2_protocol_error"),
        (0xFFFF, "http2_protocol_error"),
    ],
)
def test_other_faults_are_named_by_their_code(code: int, reason: str) -> None:
    assert connection_reason(code, "rapid reset without a colon") == reason
    assert connection_reason(code, "") == reason


@pytest.mark.parametrize("code", [ErrorCode.PROTOCOL_ERROR, ErrorCode.COMPRESSION_ERROR])
def test_a_sentence_of_another_fault_names_no_flood(code: int) -> None:
    assert connection_reason(code, "rapid_reset: not really") is not ConnectionReason.HTTP2_RAPID_RESET


def test_no_reason_is_left_without_a_way_to_it() -> None:
    found = {connection_reason(code, "") for code in CODES}
    found |= {connection_reason(ErrorCode.ENHANCE_YOUR_CALM, f"{reason}: x") for reason in FloodReason}
    assert found == {reason for reason in ConnectionReason if reason.startswith("http2_")}


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (ErrorCode.NO_ERROR, "early_answer"),
        (ErrorCode.PROTOCOL_ERROR, "client_error"),
        (ErrorCode.STREAM_CLOSED, "client_error"),
        (ErrorCode.FLOW_CONTROL_ERROR, "flow_control"),
        (ErrorCode.REFUSED_STREAM, "refused"),
        (ErrorCode.INTERNAL_ERROR, "broken_answer"),
        (ErrorCode.CANCEL, "given_up"),
        (ErrorCode.ENHANCE_YOUR_CALM, "given_up"),
        (0xFFFF, "given_up"),
    ],
)
def test_what_we_reset_has_a_cause_by_its_code(code: int, cause: str) -> None:
    assert reset_cause(code) == cause


def test_a_code_of_ours_is_never_counted_as_the_clients_wish() -> None:
    assert ResetCause.CLIENT not in {reset_cause(code) for code in CODES}
