"""Options of UDP sockets for QUIC, and which socket of an address gets a datagram."""

import ctypes
import socket
import struct
from typing import Final

# linux/in.h, in6.h, asm-generic/socket.h; Python has no names for these.
_IP_PKTINFO: Final = 8
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_PROBE: Final = 3
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
# A burst of 1,500 full datagrams; the kernel gives no more than net.core.rmem_max.
RECEIVE_BYTES: Final = 2 << 20

# linux/bpf_common.h
_LOAD_BYTE: Final = 0x30
_JUMP_IF_BITS: Final = 0x45
_RETURN_ACCUMULATOR: Final = 0x16
_LONG_HEADER: Final = 0x80


def prepare_datagrams(sock: socket.socket) -> None:
    """Have datagrams come with the address that they were sent to, and go without fragments."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)


def steer_by_connection_id(sock: socket.socket) -> None:
    """Have the sockets of the address of this one, in the order of their making, get the datagrams
    whose connection ID begins with their number.

    The ID begins behind the first byte, or behind version and length in a long header (RFC 9000
    section 17). A number that no socket has, as in the first packets of a client, leads anywhere.
    """
    program = [
        (_LOAD_BYTE, 0, 0, 0),
        (_JUMP_IF_BITS, 2, 0, _LONG_HEADER),
        (_LOAD_BYTE, 0, 0, 1),
        (_RETURN_ACCUMULATOR, 0, 0, 0),
        (_LOAD_BYTE, 0, 0, 6),
        (_RETURN_ACCUMULATOR, 0, 0, 0),
    ]
    filters = b"".join(struct.pack("HBBI", *one) for one in program)
    kept = ctypes.create_string_buffer(filters)  # the kernel copies it
    address = ctypes.addressof(kept)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("HL", len(program), address))
