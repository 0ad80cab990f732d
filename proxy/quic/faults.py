"""What clients do wrong on QUIC connections: why these end, and what the log says of it. Pure."""

from dataclasses import dataclass
from typing import Final

from proxy.limits.reasons import ConnectionReason


@dataclass(frozen=True, slots=True)
class QuicFault:
    """Why a connection ends for the fault of its client."""

    reason: ConnectionReason
    sentence: str


# `_native`: behind these, the number of a budget that is used up.
_FLOOD: Final = -1000
_FLOODS: Final = {
    1: QuicFault(ConnectionReason.HTTP3_PATH_FLOOD, "too many PATH_CHALLENGE or PATH_RESPONSE frames"),
    2: QuicFault(
        ConnectionReason.HTTP3_CONNECTION_ID_FLOOD, "too many NEW_CONNECTION_ID or RETIRE_CONNECTION_ID frames"
    ),
    3: QuicFault(
        ConnectionReason.HTTP3_BLOCKED_FLOOD, "too many DATA_BLOCKED, STREAM_DATA_BLOCKED or STREAMS_BLOCKED frames"
    ),
    4: QuicFault(
        ConnectionReason.HTTP3_WINDOW_UPDATE_FLOOD, "too many MAX_DATA, MAX_STREAM_DATA or MAX_STREAMS frames"
    ),
    5: QuicFault(ConnectionReason.HTTP3_CRYPTO_FLOOD, "too many CRYPTO frames"),
    6: QuicFault(
        ConnectionReason.HTTP3_FRAGMENT_FLOOD, "too many STREAM frames that are empty, repeated, or small behind a gap"
    ),
    7: QuicFault(ConnectionReason.HTTP3_LATE_FRAME_FLOOD, "too many frames that end streams, or are for ended ones"),
    8: QuicFault(ConnectionReason.HTTP3_PING_FLOOD, "too many PING frames"),
    9: QuicFault(ConnectionReason.HTTP3_IDLE_PACKET_FLOOD, "too many packets with acknowledgements or padding alone"),
    10: QuicFault(ConnectionReason.HTTP3_ONE_WAY_STREAM_FLOOD, "too many one-way streams"),
    11: QuicFault(ConnectionReason.HTTP3_UNKNOWN_FRAME_FLOOD, "too many frames of unknown types"),
    12: QuicFault(ConnectionReason.HTTP3_CONTROL_FRAME_FLOOD, "too many frames on the control stream"),
    13: QuicFault(ConnectionReason.HTTP3_EMPTY_DATA_FLOOD, "too many DATA frames without content"),
    14: QuicFault(ConnectionReason.HTTP3_OPTIMISTIC_ACK, "acknowledges a packet that was never sent"),
}
# ngtcp2.h
_ERRORS: Final = {
    -203: QuicFault(ConnectionReason.HTTP3_PROTOCOL_ERROR, "a frame that QUIC forbids here"),
    -205: QuicFault(ConnectionReason.HTTP3_PROTOCOL_ERROR, "an ACK frame with impossible numbers"),
    -209: QuicFault(ConnectionReason.HTTP3_FLOW_CONTROL, "more bytes than its window allows"),
    -210: QuicFault(ConnectionReason.HTTP3_CONNECTION_ID_FLOOD, "more connection IDs than it may give"),
    -211: QuicFault(ConnectionReason.HTTP3_STREAM_LIMIT, "more streams than it may open"),
    -212: QuicFault(ConnectionReason.HTTP3_PROTOCOL_ERROR, "a stream whose size changes"),
    -217: QuicFault(ConnectionReason.HTTP3_PROTOCOL_ERROR, "a frame that cannot be read"),
    -221: QuicFault(ConnectionReason.HTTP3_PROTOCOL_ERROR, "a frame that does not fit the state of its stream"),
    -229: QuicFault(ConnectionReason.HTTP3_CRYPTO_FLOOD, "CRYPTO frames too far behind a gap"),
}


def fault_of(error: int) -> QuicFault:
    """What an error of `_native` says of the client."""
    known = _FLOODS.get(_FLOOD - error) or _ERRORS.get(error)
    return known or QuicFault(ConnectionReason.HTTP3_PROTOCOL_ERROR, f"QUIC error {error}")
