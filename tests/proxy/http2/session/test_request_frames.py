"""HEADERS of a client: which streams are taken up, and which are refused."""

from dataclasses import replace

import pytest

from proxy.http2.session.events import RequestReceived, TrailersReceived
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import FrameType
from tests.http2_frames import H2_LIMITS, OK, SETTINGS_ACK, Wire, block, body, headers, rst


def test_a_client_does_not_open_even_streams() -> None:
    assert Wire().failure(headers(2)) == (ErrorCode.PROTOCOL_ERROR, "client opened an even stream")


def test_a_second_block_is_the_trailers() -> None:
    wire = Wire()
    wire.request(1, ends=False)
    (event,) = wire.receive(headers(1, payload=block([(b"x-sum", b"1")])))
    assert isinstance(event, TrailersReceived)


def test_streams_behind_the_final_goaway_are_refused() -> None:
    wire = Wire()
    wire.request(1)
    wire.session.go_away(is_final=True)
    wire.sent()
    assert wire.receive(headers(3)) == []
    (sent,) = wire.sent()
    assert (sent.kind, sent.stream, sent.number) == (FrameType.RST_STREAM, 3, ErrorCode.REFUSED_STREAM)
    assert wire.session.refused_streams == 1


class TestStreamLimit:
    def test_more_streams_are_refused_before_and_after_settings_are_known(self) -> None:
        for hello in (b"", SETTINGS_ACK):
            wire = Wire(replace(H2_LIMITS, streams=2))
            wire.receive(hello) if hello and not wire.session.settings_acked else None
            first = wire.request(1)
            wire.request(3)
            assert wire.receive(headers(5) + headers(7, ends=False) + body(7, b"x")) == []
            assert [(one.kind, one.stream, one.number) for one in wire.sent()] == [
                (FrameType.RST_STREAM, 5, ErrorCode.REFUSED_STREAM),
                (FrameType.RST_STREAM, 7, ErrorCode.REFUSED_STREAM),
            ]
            assert wire.session._table.last_taken == 3
            assert wire.session.refused_streams == 2
            wire.session.send_head(first, [OK], ends=True)
            wire.sent()
            wire.request(9)

    @pytest.mark.parametrize("has_body", [True, False])
    def test_an_answer_that_is_not_fetched_counts(self, *, has_body: bool) -> None:
        """The client reads nothing: what waits for it is bounded."""
        wire = Wire(replace(H2_LIMITS, streams=2))
        for one in (1, 3):
            stream = wire.request(one)
            wire.session.send_head(stream, [OK], ends=not has_body)
            wire.session.send_end(stream)
        assert wire.receive(headers(5)) == []
        assert [(one.kind, one.stream) for one in wire.sent() if one.kind == FrameType.RST_STREAM] == [(3, 5)]
        wire.request(7)

    def test_work_counts_after_a_reset(self) -> None:
        """CVE-2023-44487: the client resets what it has opened, so that the limit is never reached."""
        wire = Wire(replace(H2_LIMITS, streams=4))
        begun = 0
        for one in range(1, 201, 2):
            begun += sum(isinstance(event, RequestReceived) for event in wire.receive(headers(one) + rst(one)))
        assert begun == 4

    def test_a_client_that_goes_on_loses_the_connection(self) -> None:
        wire = Wire(replace(H2_LIMITS, streams=1))
        wire.request(1)
        one = 3
        while not wire.session.has_failed:
            wire.receive(headers(one))
            wire.sent()
            one += 2
        assert one < 2_100
        assert getattr(wire.events[-1], "reason").startswith("refused_streams: ")  # noqa: B009
