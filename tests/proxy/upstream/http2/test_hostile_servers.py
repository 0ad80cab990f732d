"""A hostile server of HTTP/2: no exception, no buffer without a bound, and nobody but its own request suffers.

`tests/hostile/test_http2_servers.py` plays some of it against the running program.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http2.wire.frames import FrameType, Setting
from tests.hostile import http2_frames as h2
from tests.hostile.http2_servers import ATTACKS, Attack, Outcome
from tests.http2_frames import OK, SETTINGS_ACK, block, body, frame, headers, rst, setting
from tests.http2_upstream import GET_HEAD, POST_HEAD, Backend

WINDOW = 65_536
MOST_WAITING = 200_000
"""Bytes that may wait to be sent to a server, while it reads nothing."""


def ended(told: list[tuple[str, Any]]) -> str:
    """How the exchange ended, and that it ended once."""
    ends = [event for event in told if event[0] in ("ended", "failed")]
    assert len(ends) == 1, told
    assert told[-1] is ends[0]
    return ends[0][0]


def waiting(backend: Backend) -> int:
    """Bytes that wait to be sent."""
    outbox = backend.connection.session._outbox
    return outbox._frame_bytes + outbox._queued


def attacked(attack: Attack, piece: int) -> None:
    """Play it beside an honest request on the same connection."""
    backend = Backend()
    _, victim = backend.lend()
    _, honest = backend.lend()
    backend.sent()
    for at in range(0, len(attack.octets), piece):
        backend.receive(attack.octets[at : at + piece])
    connection = backend.connection
    told = victim.told()
    is_answered = attack.outcome in (Outcome.ANSWERED, Outcome.ANSWERED_LAST)
    assert ended(told) == ("ended" if is_answered else "failed")
    sent = [one.kind for one in backend.sent()]
    if attack.outcome in (Outcome.CONNECTION_ENDS, Outcome.ANSWERED_LAST):
        assert ended(honest.told()) == "failed"
        assert sent[-1] == FrameType.GOAWAY
        assert (connection.has_room, backend.stream.ending, connection._carriers) == (False, "end", {})
    else:
        assert honest.told() == []
        backend.receive(headers(3, payload=block(OK)))
        assert honest.told() == [("started", 200), ("ended", [])]
        assert connection.has_room
    assert connection.lent == 0
    assert connection.session._table.open == 0


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_ends_what_it_should_and_nothing_else(attack: Attack) -> None:
    attacked(attack, 65_536)


SMALL = {name: attack for name, attack in ATTACKS.items() if len(attack.octets) < 1_000}


@pytest.mark.parametrize("attack", SMALL.values(), ids=SMALL.keys())
def test_an_attack_byte_by_byte_comes_to_the_same(attack: Attack) -> None:
    attacked(attack, 1)


class TestFlowControl:
    def test_data_without_credit_ends_its_stream(self) -> None:
        backend = Backend()
        carrier, victim = backend.lend()
        backend.receive(headers(1, ends=False, payload=block(OK)))
        carrier.pause_reading()
        backend.receive(body(1, b"x" * 16_384) * 4)
        assert victim.told() == [("started", 200)]
        backend.receive(body(1, b"x"))
        assert ended(victim.told()) == "failed"
        assert [one.number for one in backend.sent() if one.kind == FrameType.RST_STREAM] == [h2.FLOW_CONTROL_ERROR]

    def test_what_a_client_does_not_take_is_bounded_by_the_windows(self) -> None:
        backend = Backend()
        lent = [backend.lend() for _ in range(100)]
        for number in range(1, 200, 2):
            backend.receive(headers(number, ends=False, payload=block(OK)))
        for carrier, _ in lent:
            carrier.pause_reading()
        for number in range(1, 200, 2):
            backend.receive(body(number, b"x" * 16_384) * 4)
        kept = sum(len(carrier._held.take()) for carrier, _ in lent)
        assert kept == 100 * WINDOW
        assert waiting(backend) < 1_000  # no credit

    def test_data_on_streams_that_we_reset_is_bounded_by_their_windows(self) -> None:
        backend = Backend()
        carrier, _ = backend.lend()
        carrier.abandon()
        backend.receive(headers(1, ends=False, payload=block(OK)) + body(1, b"x" * 16_384) * 4)
        assert not backend.connection.session.has_failed
        backend.receive(body(1, b"x"))
        assert backend.connection.session.has_failed

    def test_a_server_that_reads_nothing_loses_its_connection_before_answers_pile_up(self) -> None:
        for flood in (h2.ping(), h2.settings()):
            backend = Backend()
            backend.lend()
            backend.stream.is_full = True
            backend.connection.flush_soon()
            backend.receive(h2.ping())
            for _ in range(100):
                if not backend.connection.session.has_failed:
                    backend.receive(flood * 100)
                    assert waiting(backend) < MOST_WAITING
            assert backend.connection.session.has_failed

    def test_a_window_of_one_byte_holds_the_request_back_within_bounds(self) -> None:
        backend = Backend(hello=setting(Setting.INITIAL_WINDOW_SIZE, 1) + SETTINGS_ACK)
        _, victim = backend.lend(POST_HEAD + b"x" * 100_000)
        assert victim.told() == [("pause", None)]
        for _ in range(5):
            backend.receive(h2.window_update(1, 1))
        assert sum(len(one.payload) for one in backend.sent() if one.kind == FrameType.DATA) == 6
        assert waiting(backend) == 100_000 - 6


class TestResets:
    def test_a_storm_of_resets_fails_requests_alone(self) -> None:
        backend = Backend()
        for number in range(1, 4_001, 2):
            _, victim = backend.lend(GET_HEAD)
            backend.receive(rst(number, h2.INTERNAL_ERROR))
            assert ended(victim.told()) == "failed"
        assert backend.connection.has_room

    def test_a_server_that_provokes_resets_loses_nothing_but_its_requests(self) -> None:
        backend = Backend()
        for number in range(1, 1_401, 2):
            _, victim = backend.lend(GET_HEAD)
            backend.receive(h2.window_update(number, 0))
            assert ended(victim.told()) == "failed"
        assert backend.connection.lent == 0
        assert len(backend.connection.session._table._late) == 512

    def test_a_server_that_takes_no_streams_gets_none(self) -> None:
        backend = Backend(hello=setting(Setting.MAX_CONCURRENT_STREAMS, 0) + SETTINGS_ACK)
        assert not backend.connection.has_room
        assert backend.pool.events == ["ready"]

    def test_fewer_streams_while_some_are_open_end_none(self) -> None:
        backend = Backend()
        _, honest = backend.lend()
        backend.receive(setting(Setting.MAX_CONCURRENT_STREAMS, 0))
        assert not backend.connection.has_room
        backend.receive(headers(1, payload=block(OK)))
        assert ended(honest.told()) == "ended"


PIECES = st.lists(
    st.one_of(
        st.sampled_from([attack.octets for attack in SMALL.values()]),
        st.sampled_from(
            [
                *(headers(number, ends=ends, payload=block(OK)) for number in (1, 3, 5) for ends in (False, True)),
                *(body(number, b"xyz", ends=ends) for number in (1, 3, 5) for ends in (False, True)),
                *(rst(1, h2.REFUSED_STREAM), h2.go_away(1), h2.go_away(3), h2.window_update(0, 100)),
            ]
        ),
        st.builds(
            frame,
            st.integers(0, 0x11),
            st.integers(0, 0x2D),
            st.integers(0, 7),
            st.sampled_from([b"", b"x", block(OK)]),
        ),
        st.binary(max_size=20),
    ),
    max_size=15,
)


@settings(max_examples=150)
@given(PIECES)
def test_whatever_a_server_sends_each_request_ends_once_and_nothing_stays(pieces: list[bytes]) -> None:
    backend = Backend()
    lent = [backend.lend(), backend.lend(POST_HEAD, is_complete=False), backend.lend()]
    lent[2][0].pause_reading()
    for piece in pieces:
        backend.receive(piece)
    connection = backend.connection
    for carrier, exchange in lent:
        told = exchange.told()
        ends = [event for event in told if event[0] in ("ended", "failed")]
        assert len(ends) <= 1
        assert (carrier._exchange is None) is (len(ends) == 1)
    if connection.session.has_failed:
        assert connection._carriers == {}
        assert connection.session._table.streams == {}
    assert waiting(backend) < MOST_WAITING
    for carrier, _ in lent:
        if carrier._exchange is not None:
            carrier.abandon()
    assert connection.lent == 0
