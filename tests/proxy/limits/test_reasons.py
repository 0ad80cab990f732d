"""Every reason has one name, and there are few of them whatever clients send."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import proxy
from config.tables.limits import LimitsConfig
from proxy.limits.reasons import ConnectionReason, RequestReason, request_reason
from proxy.tls.handshake.results import FailureReason
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault

DOWNSTREAM = Path(proxy.__file__).parent / "downstream"


def test_a_limit_on_connections_is_the_reason_by_its_name() -> None:
    limits = {reason.value for reason in (*ConnectionReason, *FailureReason)} & set(LimitsConfig.model_fields)
    assert limits == {
        "connections",
        "connections_per_address",
        "handshakes_in_flight",
        "handshakes_per_address",
        "handshakes_per_second_per_address",
        "slow_groups_rate",
    }


def test_no_two_reasons_of_a_listener_have_the_same_name() -> None:
    assert not {reason.value for reason in ConnectionReason} & {reason.value for reason in FailureReason}


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (429, "request_rate", RequestReason.RATE),
        (408, "body_too_slow", RequestReason.BODY_TOO_SLOW),
        (200, "body_too_slow: the request body did not arrive in time", RequestReason.BODY_TOO_SLOW),
        (400, "malformed_request: line end that is not CRLF", RequestReason.MALFORMED_REQUEST),
        (431, "malformed_request: the request head is too long", RequestReason.HEAD_TOO_LARGE),
        (414, "malformed_request: the request head is too long", RequestReason.TARGET_TOO_LONG),
        (413, "malformed_body: the body is longer than this route allows", RequestReason.BODY_TOO_LONG),
        (400, "malformed_body: chunk size", RequestReason.MALFORMED_BODY),
        (499, "the client closed the connection", RequestReason.GIVEN_UP),
        (499, "reader_too_slow: the client reads the response too slowly", RequestReason.READER_TOO_SLOW),
        (101, "the client was lost: reset", RequestReason.WEBSOCKET),
        (413, str(UpstreamFailure(UpstreamFault.CUT, "end of stream")), RequestReason.UPSTREAM),
        (502, str(UpstreamFailure(UpstreamFault.TLS)), RequestReason.UPSTREAM),
    ],
)
def test_each_line_of_the_log_has_its_reason(status: int, error: str, reason: RequestReason) -> None:
    assert request_reason(status, error) is reason


@given(st.integers(100, 599), st.text())
def test_whatever_a_line_says_it_is_one_of_them(status: int, error: str) -> None:
    assert request_reason(status, error) in {None, *RequestReason}


def test_a_websocket_that_was_closed_properly_has_not_failed() -> None:
    assert request_reason(101, "closed: drained: connect again") is None
    assert request_reason(200, "closed: by somebody") is RequestReason.UPSTREAM


def test_each_refusal_has_its_name() -> None:
    """The third argument of a `RequestRefusal` is a reason that is known, written out or by its
    name."""
    reasons = [
        call.args[2]
        for path in DOWNSTREAM.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "RequestRefusal"
    ]
    written = {reason.value for reason in reasons if isinstance(reason, ast.Constant)}
    assert len(reasons) > 5
    assert written <= {reason.value for reason in RequestReason}
