"""What a hostile server of HTTP/2 may answer a request with, as octets, and what has to become of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from tests.hostile import http2_frames as h2

OK: Final = h2.block([(b":status", b"200")])
ONE: Final = 1
"""The stream of the first request on each connection."""


class Outcome(Enum):
    """What the attacked request and its connection come to."""

    CONNECTION_ENDS = auto()
    """GOAWAY; the request gets 502, or its response is cut."""
    STREAM_ENDS = auto()
    """RST_STREAM; the request gets 502, or its response is cut. Others on the connection continue."""
    ANSWERED = auto()
    """Nothing is wrong: the request is answered, and the connection continues."""
    ANSWERED_LAST = auto()
    """The request is answered, then the connection ends by GOAWAY."""


@dataclass(frozen=True)
class Attack:
    """Octets that answer the request on stream 1."""

    octets: bytes
    outcome: Outcome


def head(fields: bytes = OK, *, ends: bool = False) -> bytes:
    """The head of a response."""
    return h2.frame(h2.HEADERS, fields, h2.WHOLE if ends else h2.END_HEADERS, ONE)


def _block(size: int, *, first: bytes = OK) -> bytes:
    """A header block in frames, cut where frames end."""
    payload = first + h2.literal(b"x", b"y" * 8_000) * (size // 8_000)
    pieces = [payload[at : at + h2.FRAME_BYTES] for at in range(0, len(payload), h2.FRAME_BYTES)]
    frames = [h2.frame(h2.HEADERS, pieces[0], h2.END_STREAM, ONE)]
    frames += [h2.frame(h2.CONTINUATION, piece, 0, ONE) for piece in pieces[1:]]
    return b"".join(frames)


_ENDS, _STREAM, _FINE, _LAST = (
    Outcome.CONNECTION_ENDS,
    Outcome.STREAM_ENDS,
    Outcome.ANSWERED,
    Outcome.ANSWERED_LAST,
)
_WHOLE = head(ends=True)

BROKEN_FRAMES: Final = {
    "settings_of_5_bytes": Attack(h2.frame(h2.SETTINGS, b"12345"), _ENDS),
    "settings_for_a_stream": Attack(h2.frame(h2.SETTINGS, b"", 0, ONE), _ENDS),
    "settings_33_in_one_frame": Attack(h2.settings(*[(0x99, 1)] * 33), _ENDS),
    "settings_that_allow_push": Attack(h2.settings((h2.ENABLE_PUSH, 1)), _ENDS),
    "settings_with_a_window_above_all": Attack(h2.settings((h2.INITIAL_WINDOW, 2**31)), _ENDS),
    "settings_with_a_tiny_frame_size": Attack(h2.settings((h2.FRAME_SIZE, 100)), _ENDS),
    "settings_acknowledged_twice": Attack(h2.SETTINGS_ACK, _ENDS),
    "extended_connect_taken_back": Attack(
        h2.settings((h2.CONNECT_PROTOCOL, 1)) + h2.settings((h2.CONNECT_PROTOCOL, 0)), _ENDS
    ),
    "frame_above_the_limit": Attack(h2.frame(h2.DATA, b"x" * 20_000, 0, ONE), _ENDS),
    "frame_that_says_16_megabytes": Attack(h2.frame(h2.HEADERS, OK, 0, ONE, length=0xFF_FFFF), _ENDS),
    "push": Attack(h2.frame(h2.PUSH_PROMISE, (2).to_bytes(4) + h2.block(h2.fields()), h2.END_HEADERS, ONE), _ENDS),
    "a_stream_of_the_server": Attack(h2.frame(h2.HEADERS, OK, h2.WHOLE, 2), _ENDS),
    "a_stream_that_nobody_opened": Attack(h2.frame(h2.HEADERS, OK, h2.WHOLE, 99), _ENDS),
    "head_for_the_connection": Attack(h2.frame(h2.HEADERS, OK, h2.WHOLE, 0), _ENDS),
    "data_for_the_connection": Attack(h2.data(0, b"x"), _ENDS),
    "data_for_an_idle_stream": Attack(h2.data(99, b"x"), _ENDS),
    "reset_of_an_idle_stream": Attack(h2.rst(99), _ENDS),
    "reset_of_3_bytes": Attack(h2.frame(h2.RST_STREAM, b"123", 0, ONE), _ENDS),
    "ping_of_7_bytes": Attack(h2.ping(b"1234567"), _ENDS),
    "goaway_of_4_bytes": Attack(h2.frame(h2.GOAWAY, b"1234"), _ENDS),
    "priority_update": Attack(h2.frame(h2.PRIORITY_UPDATE, (1).to_bytes(4) + b"u=1"), _ENDS),
    "padding_that_is_longer_than_its_frame": Attack(h2.frame(h2.DATA, b"\xffx", h2.PADDED, ONE), _ENDS),
    "continuation_alone": Attack(h2.frame(h2.CONTINUATION, OK, h2.END_HEADERS, ONE), _ENDS),
    "a_frame_within_a_header_block": Attack(h2.frame(h2.HEADERS, OK, 0, ONE) + h2.ping(), _ENDS),
    "window_of_the_connection_overflows": Attack(h2.window_update(0, h2.LARGEST_WINDOW), _ENDS),
    "credit_of_0_for_the_connection": Attack(h2.window_update(0, 0), _ENDS),
    "credit_of_0": Attack(h2.window_update(ONE, 0), _STREAM),
    "window_of_a_stream_overflows": Attack(h2.window_update(ONE, h2.LARGEST_WINDOW), _STREAM),
    "data_before_a_head": Attack(h2.data(ONE, b"x"), _STREAM),
    "an_unknown_frame": Attack(h2.frame(0x77, b"?") + _WHOLE, _FINE),
    "junk_of_another_protocol": Attack(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * 300, _ENDS),
}

FLOODS: Final = {
    "settings": Attack(h2.settings() * 2_000, _ENDS),
    "settings_that_move_the_window": Attack(h2.settings(*[(h2.INITIAL_WINDOW, 70_000)] * 32) * 100, _ENDS),
    "pings": Attack(h2.ping() * 5_000, _ENDS),
    "priorities": Attack(h2.frame(h2.PRIORITY, b"\0\0\0\0\x10", 0, ONE) * 5_000, _ENDS),
    "credit_in_crumbs": Attack(h2.window_update(0, 1) * 5_000, _ENDS),
    "unknown_frames": Attack(h2.frame(0x77, b"?") * 5_000, _ENDS),
    "goaways": Attack(h2.go_away(h2.LARGEST_WINDOW) * 5_000, _ENDS),
    "empty_data": Attack(head() + h2.data(ONE) * 5_000, _ENDS),
    "empty_data_with_padding": Attack(head() + h2.frame(h2.DATA, b"\0", h2.PADDED, ONE) * 5_000, _ENDS),
    "resets_of_a_closed_stream": Attack(_WHOLE + h2.rst(ONE) * 5_000, _LAST),
    "interim_responses": Attack(head(h2.block([(b":status", b"103")])) * 50, _STREAM),
    "continuations_without_end": Attack(_block(2_000_000), _ENDS),
    "continuations_without_content": Attack(
        h2.frame(h2.HEADERS, OK, h2.END_STREAM, ONE) + h2.frame(h2.CONTINUATION, b"", 0, ONE) * 5_000, _ENDS
    ),
    "continuations_of_a_byte": Attack(
        h2.frame(h2.HEADERS, OK, h2.END_STREAM, ONE) + h2.frame(h2.CONTINUATION, b"\x00", 0, ONE) * 5_000, _ENDS
    ),
}

_BIG = h2.literal(b"x", b"y" * 4_000, indexed=True)
HEADS: Final = {
    "bomb_of_an_indexed_field": Attack(head(OK + _BIG + h2.index(62) * 10_000, ends=True), _STREAM),
    "bomb_of_small_fields": Attack(
        head(OK + h2.literal(b"x", b"", indexed=True) + h2.index(62) * 15_000, ends=True), _STREAM
    ),
    "index_of_no_field": Attack(head(OK + h2.index(200), ends=True), _ENDS),
    "index_0": Attack(head(OK + h2.index(0), ends=True), _ENDS),
    "table_larger_than_announced": Attack(head(h2.table_size(1_000_000) + OK, ends=True), _ENDS),
    "table_that_jumps": Attack(head((h2.table_size(0) + h2.table_size(4_096)) * 2 + OK, ends=True), _ENDS),
    "string_without_end": Attack(head(OK + b"\x00\x7f\xff\xff\x07x", ends=True), _ENDS),
    "number_without_end": Attack(head(OK + b"\xff" + b"\xff" * 20, ends=True), _ENDS),
    "no_status": Attack(head(h2.block([(b"x", b"1")]), ends=True), _STREAM),
    "two_statuses": Attack(head(OK + OK, ends=True), _STREAM),
    "late_status": Attack(head(h2.block([(b"x", b"1")]) + OK, ends=True), _STREAM),
    "status_of_a_line": Attack(head(h2.block([(b":status", b"200\r\nx: y")]), ends=True), _STREAM),
    "status_101": Attack(head(h2.block([(b":status", b"101")])), _STREAM),
    "status_99": Attack(head(h2.block([(b":status", b"099")]), ends=True), _STREAM),
    "value_of_a_line": Attack(head(OK + h2.literal(b"x", b"a\r\nset-cookie: b=c"), ends=True), _STREAM),
    "value_with_nul": Attack(head(OK + h2.literal(b"x", b"a\0b"), ends=True), _STREAM),
    "name_of_a_line": Attack(head(OK + h2.literal(b"x: y\r\nz", b"1"), ends=True), _STREAM),
    "upper_case": Attack(head(OK + h2.literal(b"X", b"y"), ends=True), _STREAM),
    "empty_name": Attack(head(OK + h2.literal(b"", b"y"), ends=True), _STREAM),
    "transfer_encoding": Attack(head(OK + h2.literal(b"transfer-encoding", b"chunked")), _STREAM),
    "connection": Attack(head(OK + h2.literal(b"connection", b"close"), ends=True), _STREAM),
    "fields_2000": Attack(head(OK + h2.literal(b"x", b"") * 2_000, ends=True), _STREAM),
    "interim_that_ends": Attack(head(h2.block([(b":status", b"103")]), ends=True), _STREAM),
}

_LENGTH_5 = OK + h2.literal(b"content-length", b"5")
BODIES: Final = {
    "shorter_than_its_length": Attack(head(_LENGTH_5) + h2.data(ONE, b"abc", ends=True), _STREAM),
    "longer_than_its_length": Attack(head(_LENGTH_5) + h2.data(ONE, b"abcdef"), _STREAM),
    "none_but_a_length": Attack(head(_LENGTH_5, ends=True), _STREAM),
    "two_lengths": Attack(head(_LENGTH_5 + h2.literal(b"content-length", b"6")), _STREAM),
    "length_of_a_sign": Attack(head(OK + h2.literal(b"content-length", b"+5")), _STREAM),
    "trailers_that_do_not_end": Attack(head() + head(h2.literal(b"x", b"1")), _STREAM),
    "trailers_with_a_status": Attack(head() + _WHOLE, _STREAM),
    "trailers_of_a_line": Attack(head() + head(h2.literal(b"x", b"a\r\nb: c"), ends=True), _STREAM),
    "data_behind_the_end": Attack(_WHOLE + h2.data(ONE, b"x" * 100), _LAST),
    "a_second_response": Attack(_WHOLE + _WHOLE, _LAST),
    "credit_behind_the_end": Attack(_WHOLE + h2.window_update(ONE, 1), _FINE),
    "reset_behind_the_end": Attack(_WHOLE + h2.rst(ONE, h2.NO_ERROR), _FINE),
    "reset_in_the_middle": Attack(head() + h2.data(ONE, b"x") + h2.rst(ONE, h2.INTERNAL_ERROR), _STREAM),
    "reset_at_once": Attack(h2.rst(ONE, h2.INTERNAL_ERROR), _STREAM),
}

ATTACKS: Final[Mapping[str, Attack]] = {
    f"{kind}_{name}": attack
    for kind, table in (("frames", BROKEN_FRAMES), ("flood", FLOODS), ("head", HEADS), ("body", BODIES))
    for name, attack in table.items()
}
