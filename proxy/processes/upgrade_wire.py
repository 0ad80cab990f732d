"""The wire between two parents in an upgrade: the running one, and the one that takes its place.

The two processes may be of different versions, so the wire is as simple as it can be. It is a pair
of SOCK_SEQPACKET sockets: a packet is a message, or it only brings descriptors for the next
message. A message has a kind and a JSON object. A reader ignores fields that it does not know. A
long object travels in a memory file. When a process ends, the kernel closes its end, so the other
process always learns of it.
"""

import asyncio
import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from certs.files.memory_file import sealed_memory_file
from proxy.processes.channel import close_all, descriptors_in

PROTOCOL: Final = 2
"""Raise it with each change that a process of the version before would misunderstand."""
VARIABLE: Final = "PLEXIGATE_UPGRADE"
"""The environment variable with the number of the descriptor, for the new process."""
# The kernel passes 253 descriptors with a packet (SCM_MAX_FD in unix(7)), one may be the object.
_DESCRIPTORS_AT_ONCE: Final = 250
# Far below the send buffer of a socket, so that a packet never waits for the reader.
_LONGEST_INLINE: Final = 16_384
_PACKET_BYTES: Final = 65_536
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE((_DESCRIPTORS_AT_ONCE + 1) * struct.calcsize("i"))


class WireBroken(Exception):
    """The other process has ended, or it sends what is not a message."""

    def __str__(self) -> str:
        return "the other process has closed the connection"


@dataclass(frozen=True, slots=True)
class Said:
    """A message. The receiver owns its descriptors."""

    kind: str
    body: Mapping[str, Any] = field(repr=False)
    descriptors: tuple[int, ...] = ()


class UpgradeWire:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._brought: list[int] = []

    def close(self) -> None:
        """Close this end, and descriptors that belong to no complete message."""
        self._sock.close()
        close_all(self._brought)
        self._brought = []

    # -- speaking

    def say(self, kind: str, body: Mapping[str, Any] | None = None, descriptors: Sequence[int] = ()) -> None:
        """Send a message. The caller keeps its descriptors. Raises `WireBroken`."""
        content = json.dumps(body or {}).encode()
        rest = list(descriptors)
        while len(rest) > _DESCRIPTORS_AT_ONCE:
            self._send({"brings": True}, rest[:_DESCRIPTORS_AT_ONCE])
            rest = rest[_DESCRIPTORS_AT_ONCE:]
        if len(content) <= _LONGEST_INLINE:
            self._send({"say": kind, "body": body or {}}, rest)
            return
        memory = sealed_memory_file("upgrade", content)
        try:
            self._send({"say": kind, "in_file": True}, [*rest, memory])
        finally:
            os.close(memory)

    def _send(self, packet: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        try:
            socket.send_fds(self._sock, [json.dumps(packet).encode()], descriptors, socket.MSG_NOSIGNAL)
        except OSError:
            raise WireBroken from None

    # -- hearing

    def hear(self) -> Said:
        """The next message. Blocks until it comes, while the socket blocks.

        Raises `WireBroken`, or BlockingIOError if the socket does not block.
        """
        while True:
            packet = self._packet()
            if "say" in packet:
                return self._said(packet)

    async def heard(self, loop: asyncio.AbstractEventLoop) -> Said:
        """The next message. Raises `WireBroken`. One caller at a time."""
        self._sock.settimeout(0)
        while True:
            try:
                return self.hear()
            except BlockingIOError:
                await self._readable(loop)

    async def _readable(self, loop: asyncio.AbstractEventLoop) -> None:
        event = asyncio.Event()
        loop.add_reader(self._sock, event.set)
        try:
            await event.wait()
        finally:
            loop.remove_reader(self._sock)

    def _packet(self) -> Mapping[str, Any]:
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(_PACKET_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            raise
        except OSError:
            raise WireBroken from None
        self._brought += descriptors_in(ancillary)
        if not data or flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
            raise WireBroken
        return _object(data)

    def _said(self, packet: Mapping[str, Any]) -> Said:
        descriptors, self._brought = self._brought, []
        body = packet.get("body", {})
        if packet.get("in_file"):
            if not descriptors:
                raise WireBroken
            memory = descriptors.pop()
            try:
                body = _object(os.pread(memory, os.fstat(memory).st_size, 0))
            finally:
                os.close(memory)
        return Said(str(packet["say"]), body, tuple(descriptors))


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise WireBroken from None
    if not isinstance(found, dict):
        raise WireBroken
    return found


def pair() -> tuple[UpgradeWire, socket.socket]:
    """Our end, and the end for the new process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return UpgradeWire(ours), theirs
