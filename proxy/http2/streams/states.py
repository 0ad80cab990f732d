"""The states of a stream, and every move between them (RFC 9113 section 5.1). Pure.

Theory of operation. A stream has two halves: what the peer sends, and what we send. Each half has
its own moves, `_OF_PEER` and `_OF_US`: (state of the half, event) -> (next state, effect). A state
of the stream is one of each, as in "half-closed (remote)". Moves of both are in `_OF_BOTH`. The end
of the second half completes the stream, and a cut ends both at once.

`TRANSITIONS` is all of this in one table of bytes, since each frame asks it: the entry at
`state | event` is `next state | effect`. What no half names changes nothing, and its effect is
`IGNORED`. An effect from `FAULTS` on is an error that ends the stream.

A stream that is "idle" is not made yet (see `stream_table`). "Reserved" ones are for pushes, which
are not allowed here.
"""

from typing import Final

from proxy.http2.wire.errors import ErrorCode, StreamFault

# -- the half of the peer: of a request for a server, of a response for a client

AWAITING_HEAD: Final = 0x00
"""A client waits for the final head of a response."""
OPEN: Final = 0x40
"""A body may come, and trailers."""
STOPPED: Final = 0x80
"""The rest of the body is not wanted."""
REMOTE_ENDED: Final = 0xC0
"""END_STREAM came: half-closed (remote)."""

# -- our half

LOCAL: Final = 0x30
LOCAL_OPEN: Final = 0x00
"""The driver may give fields and bytes of the body; in other states they are ignored."""
ENDING: Final = 0x10
"""Our end was given. It waits behind bytes of the body, or for its turn."""
END_SENT: Final = 0x20
"""Our end was handed out: half-closed (local)."""

# -- both

COMPLETE: Final = REMOTE_ENDED | END_SENT
"""Closed: both halves have ended."""
CUT: Final = 0x30
"""Closed by RST_STREAM, by GOAWAY or with the connection. All states of cut streams have its bits.

A server may still work for such a stream: until it has stopped, the stream counts for
SETTINGS_MAX_CONCURRENT_STREAMS (CVE-2023-44487).
"""
CUT_AT_WORK: Final = 0x70
ENDED_CUT_AT_WORK: Final = 0xB0
"""As `CUT_AT_WORK`, and END_STREAM of the peer came before, as in all states from here on."""
ENDED_CUT: Final = 0xF0

# -- events

HEADERS_CAME: Final = 0
"""The head of a final response, or trailers."""
INTERIM_CAME: Final = 1
"""As `HEADERS_CAME`, but with the status of an interim response."""
DATA_CAME: Final = 2
END_CAME: Final = 3
"""END_STREAM, on a frame that was allowed."""
STOP: Final = 4
"""The driver wants no more of the body."""
CREDIT: Final = 5
"""Half a window was consumed: the peer may send as much more."""
END: Final = 6
"""The driver gives the end."""
END_LEFT: Final = 7
"""The frame with our END_STREAM is handed out."""
CUT_REQUEST: Final = 8
"""RST_STREAM in either direction, or the end of the connection, for a client."""
CUT_ANSWER: Final = 9
"""The same for a server, which may still work for the answer."""
WORK_ENDED: Final = 10
"""The server works no more for a stream that was cut."""

# -- effects

DONE: Final = 0
IGNORED: Final = 1
"""The event means nothing in this state, and changed nothing."""
COMPLETED: Final = 2
"""Both halves have ended: the stream is closed."""
TRAILERS: Final = 3
DROPPED: Final = 4
"""What came is of no use to the driver."""
RESET_DUE: Final = 5
"""A request continues behind the end of its answer: RST_STREAM with NO_ERROR (RFC 9113 8.1)."""
AT_WORK: Final = 6
"""Cut, but a server still works for it."""
RELEASED: Final = 7
"""A stream that was cut counts no more."""
FAULTS: Final = 8
_HEADERS_BEHIND_END: Final = 8
_DATA_BEHIND_END: Final = 9
_DATA_BEFORE_HEAD: Final = 10

_ERRORS: Final = {
    _HEADERS_BEHIND_END: (ErrorCode.STREAM_CLOSED, "HEADERS behind the end of a message"),
    _DATA_BEHIND_END: (ErrorCode.STREAM_CLOSED, "DATA behind the end of a message"),
    _DATA_BEFORE_HEAD: (ErrorCode.PROTOCOL_ERROR, "DATA before the head of a response"),
}

_OF_PEER: Final = {
    (AWAITING_HEAD, INTERIM_CAME): (AWAITING_HEAD, DONE),
    (AWAITING_HEAD, HEADERS_CAME): (OPEN, DONE),
    (AWAITING_HEAD, DATA_CAME): (AWAITING_HEAD, _DATA_BEFORE_HEAD),
    (AWAITING_HEAD, CREDIT): (AWAITING_HEAD, DONE),
    (OPEN, INTERIM_CAME): (OPEN, TRAILERS),
    (OPEN, HEADERS_CAME): (OPEN, TRAILERS),
    (OPEN, DATA_CAME): (OPEN, DONE),
    (OPEN, END_CAME): (REMOTE_ENDED, DONE),
    (OPEN, STOP): (STOPPED, DONE),
    (OPEN, CREDIT): (OPEN, DONE),
    (STOPPED, INTERIM_CAME): (STOPPED, DROPPED),
    (STOPPED, HEADERS_CAME): (STOPPED, DROPPED),
    (STOPPED, DATA_CAME): (STOPPED, DROPPED),
    (STOPPED, END_CAME): (REMOTE_ENDED, DONE),
    (STOPPED, CREDIT): (STOPPED, DONE),
    (REMOTE_ENDED, INTERIM_CAME): (REMOTE_ENDED, _HEADERS_BEHIND_END),
    (REMOTE_ENDED, HEADERS_CAME): (REMOTE_ENDED, _HEADERS_BEHIND_END),
    (REMOTE_ENDED, DATA_CAME): (REMOTE_ENDED, _DATA_BEHIND_END),
}
_OF_US: Final = {
    (LOCAL_OPEN, END): (ENDING, DONE),
    (ENDING, END_LEFT): (END_SENT, DONE),
}
_OF_BOTH: Final = {
    (STOPPED | END_SENT, CREDIT): (STOPPED | END_SENT, RESET_DUE),
    (CUT_AT_WORK, WORK_ENDED): (CUT, RELEASED),
    (ENDED_CUT_AT_WORK, WORK_ENDED): (ENDED_CUT, RELEASED),
}


def _entry(state: int, event: int) -> int:
    if (state, event) in _OF_BOTH:
        after, effect = _OF_BOTH[state, event]
        return after | effect
    if state & LOCAL == CUT:
        return state | IGNORED
    if event in (CUT_REQUEST, CUT_ANSWER) and state != COMPLETE:
        return _cut(has_ended=state >= REMOTE_ENDED, is_at_work=event == CUT_ANSWER and state & LOCAL == LOCAL_OPEN)
    local = state & LOCAL
    peer, effect = _OF_PEER.get((state & ~LOCAL, event), (state & ~LOCAL, IGNORED))
    if effect == IGNORED:
        local, effect = _OF_US.get((local, event), (local, IGNORED))
    if effect == DONE and peer | local == COMPLETE:
        effect = COMPLETED
    return peer | local | effect


def _cut(*, has_ended: bool, is_at_work: bool) -> int:
    if is_at_work:
        return (ENDED_CUT_AT_WORK if has_ended else CUT_AT_WORK) | AT_WORK
    return (ENDED_CUT if has_ended else CUT) | DONE


TRANSITIONS: Final = bytes([_entry(one & 0xF0, one & 0x0F) for one in range(256)])
"""At `state | event`: `next state | effect`."""


def fault_of(effect: int) -> StreamFault:
    """The error that an effect from `FAULTS` on stands for."""
    code, reason = _ERRORS[effect]
    return StreamFault(code, reason)
