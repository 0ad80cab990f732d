"""The table of the states of a stream, against RFC 9113 section 5.1 and along the life of
streams."""

from typing import Final

import pytest

from proxy.http2.streams.states import (
    AT_WORK,
    AWAITING_HEAD,
    COMPLETE,
    COMPLETED,
    CREDIT,
    CUT,
    CUT_ANSWER,
    CUT_AT_WORK,
    CUT_REQUEST,
    DATA_CAME,
    DONE,
    DROPPED,
    END,
    END_CAME,
    END_LEFT,
    END_SENT,
    ENDED_CUT,
    ENDED_CUT_AT_WORK,
    ENDING,
    FAULTS,
    HEADERS_CAME,
    IGNORED,
    INTERIM_CAME,
    LOCAL,
    OPEN,
    RELEASED,
    REMOTE_ENDED,
    RESET_DUE,
    STOP,
    STOPPED,
    TRAILERS,
    TRANSITIONS,
    WORK_ENDED,
    fault_of,
)
from proxy.http2.wire.errors import ErrorCode

STATES: Final = range(0, 256, 16)
EVENTS: Final = range(WORK_ENDED + 1)

# RFC 9113 figure 2, without "idle" and "reserved".
MOVES: Final = {
    "open": {"open", "half-closed (remote)", "half-closed (local)", "closed"},
    "half-closed (remote)": {"half-closed (remote)", "closed"},
    "half-closed (local)": {"half-closed (local)", "closed"},
    "closed": {"closed"},
}


def in_rfc(state: int) -> str:
    """What RFC 9113 calls a state."""
    if state == COMPLETE or state & LOCAL == CUT:
        return "closed"
    if state & LOCAL == END_SENT:
        return "half-closed (local)"
    return "half-closed (remote)" if state >= REMOTE_ENDED else "open"


def move(state: int, event: int) -> tuple[int, int]:
    """The next state, and the effect."""
    entry = TRANSITIONS[state | event]
    return entry & 0xF0, entry & 0x0F


def test_every_move_is_one_of_the_rfc() -> None:
    assert len(TRANSITIONS) == 256
    for state in STATES:
        assert {in_rfc(move(state, event)[0]) for event in range(16)} <= MOVES[in_rfc(state)]


def test_a_cut_closes_every_open_stream_at_once() -> None:
    for state in STATES:
        for event in (CUT_REQUEST, CUT_ANSWER):
            assert in_rfc(move(state, event)[0]) == "closed"


def test_what_is_ignored_or_a_fault_changes_nothing() -> None:
    for state in STATES:
        for event in EVENTS:
            after, effect = move(state, event)
            if effect == IGNORED or effect >= FAULTS:
                assert after == state


def test_a_closed_stream_knows_only_the_end_of_work_and_frames_behind_the_end() -> None:
    for state in STATES:
        if in_rfc(state) == "closed":
            known = {event for event in EVENTS if move(state, event)[1] != IGNORED}
            assert known <= {WORK_ENDED, DATA_CAME, HEADERS_CAME, INTERIM_CAME}
            assert all(move(state, event)[1] >= FAULTS for event in known - {WORK_ENDED})


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        # a GET, answered
        (REMOTE_ENDED, [(END, REMOTE_ENDED | ENDING, DONE), (END_LEFT, COMPLETE, COMPLETED)]),
        # an upload, answered behind its trailers
        (
            OPEN,
            [
                (DATA_CAME, OPEN, DONE),
                (CREDIT, OPEN, DONE),
                (HEADERS_CAME, OPEN, TRAILERS),
                (END_CAME, REMOTE_ENDED, DONE),
                (CREDIT, REMOTE_ENDED, IGNORED),
                (END, REMOTE_ENDED | ENDING, DONE),
                (END, REMOTE_ENDED | ENDING, IGNORED),
                (END_LEFT, COMPLETE, COMPLETED),
            ],
        ),
        # an upload that continues behind its answer
        (
            OPEN,
            [
                (END, OPEN | ENDING, DONE),
                (STOP, STOPPED | ENDING, DONE),
                (CREDIT, STOPPED | ENDING, DONE),
                (END_LEFT, STOPPED | END_SENT, DONE),
                (DATA_CAME, STOPPED | END_SENT, DROPPED),
                (INTERIM_CAME, STOPPED | END_SENT, DROPPED),
                (CREDIT, STOPPED | END_SENT, RESET_DUE),
                (CUT_ANSWER, CUT, DONE),
            ],
        ),
        # one whose end comes last
        (STOPPED | END_SENT, [(HEADERS_CAME, STOPPED | END_SENT, DROPPED), (END_CAME, COMPLETE, COMPLETED)]),
        # a response with an interim one before it
        (
            AWAITING_HEAD | ENDING,
            [
                (INTERIM_CAME, AWAITING_HEAD | ENDING, DONE),
                (CREDIT, AWAITING_HEAD | ENDING, DONE),
                (END_LEFT, AWAITING_HEAD | END_SENT, DONE),
                (HEADERS_CAME, OPEN | END_SENT, DONE),
                (DATA_CAME, OPEN | END_SENT, DONE),
                (INTERIM_CAME, OPEN | END_SENT, TRAILERS),
                (END_CAME, COMPLETE, COMPLETED),
            ],
        ),
        # streams that are cut before their answer is given, or behind it
        (OPEN, [(CUT_ANSWER, CUT_AT_WORK, AT_WORK), (WORK_ENDED, CUT, RELEASED), (WORK_ENDED, CUT, IGNORED)]),
        (REMOTE_ENDED, [(CUT_ANSWER, ENDED_CUT_AT_WORK, AT_WORK), (WORK_ENDED, ENDED_CUT, RELEASED)]),
        (REMOTE_ENDED | ENDING, [(CUT_ANSWER, ENDED_CUT, DONE)]),
        (AWAITING_HEAD, [(CUT_REQUEST, CUT, DONE), (END, CUT, IGNORED), (END_LEFT, CUT, IGNORED)]),
        (COMPLETE, [(CUT_ANSWER, COMPLETE, IGNORED), (CUT_REQUEST, COMPLETE, IGNORED)]),
    ],
)
def test_lives_of_streams(state: int, steps: list[tuple[int, int, int]]) -> None:
    for event, after, effect in steps:
        assert move(state, event) == (after, effect)
        state = after


@pytest.mark.parametrize(
    ("state", "event", "code", "reason"),
    [
        (AWAITING_HEAD, DATA_CAME, ErrorCode.PROTOCOL_ERROR, "DATA before the head of a response"),
        (REMOTE_ENDED, DATA_CAME, ErrorCode.STREAM_CLOSED, "DATA behind the end of a message"),
        (REMOTE_ENDED | ENDING, HEADERS_CAME, ErrorCode.STREAM_CLOSED, "HEADERS behind the end of a message"),
        (REMOTE_ENDED, INTERIM_CAME, ErrorCode.STREAM_CLOSED, "HEADERS behind the end of a message"),
    ],
)
def test_faults(state: int, event: int, code: int, reason: str) -> None:
    fault = fault_of(move(state, event)[1])
    assert (fault.code, fault.reason) == (code, reason)
