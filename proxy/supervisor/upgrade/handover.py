"""What the running parent hands to the new one: open descriptors by name, and what no file has.

Everything else is read again: the configuration, keys, payload rings, routes in maintenance, the
memory of rotations, and the audit log. The lock on the state directory travels as an open file, so
there is no moment without it.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypedDict

from proxy.processes.channel import close_all
from proxy.processes.messages.questions import Verdict
from proxy.processes.upgrade_wire import Said
from proxy.quic.advertisement import RememberedOffer
from proxy.supervisor.secrets.ticket_record import NoTicketRecord, TicketRecord

LISTENING: Final = "listening "
ADMIN: Final = "admin "
STATE: Final = "state "
STANDARD_ERROR: Final = "stderr"


class HandoverUnreadable(Exception):
    """The running process hands over what this version does not understand."""

    def __str__(self) -> str:
        return "the running proxy sent state that this version does not understand: restart it instead"


class HandoverBody(TypedDict):
    names: list[str]
    tickets: str
    verdicts: list[tuple[str, str, bool | None, float | None]]
    program: list[str]
    environment: dict[str, str]
    http3: list[tuple[str, int, float]]


@dataclass(frozen=True, slots=True)
class HandedState:
    """What the memory of the running parent has."""

    tickets: TicketRecord = field(repr=False)
    verdicts: tuple[Verdict, ...]
    """Of servers: what checks have found, and which ones drain."""
    program: tuple[str, ...]
    """How the new process was started, for its own upgrade."""
    environment: Mapping[str, str] = field(repr=False)
    """Of the first start. The program may have changed its own."""
    http3: tuple[RememberedOffer, ...] = ()
    """What clients remember of HTTP/3."""

    def as_body(self, names: Sequence[str]) -> HandoverBody:
        """The message, with the names of the descriptors that go with it."""
        return {
            "names": list(names),
            "tickets": self.tickets.encode().hex(),
            "verdicts": [(one.upstream, one.server, one.is_up, one.drains_until) for one in self.verdicts],
            "program": list(self.program),
            "environment": dict(self.environment),
            "http3": [(one.listener, one.port, one.seconds) for one in self.http3],
        }


class Handed:
    """The descriptors that came, until they are taken."""

    def __init__(self, descriptors: Sequence[tuple[str, int]]) -> None:
        """`descriptors`: each with its name. Several may have one name."""
        self._left = list(descriptors)

    def listening(self) -> list[tuple[str, socket.socket]]:
        """Take all listening sockets, with the names that they have in a service manager."""
        found = [(name, number) for name, number in self._left if name.startswith(LISTENING)]
        self._left = [one for one in self._left if one not in found]
        sockets = [(name.removeprefix(LISTENING), socket.socket(fileno=number)) for name, number in found]
        for _, sock in sockets:
            sock.settimeout(0)
        return sockets

    def take(self, name: str) -> int | None:
        """Take a descriptor. None if none of this name came."""
        for index, (found, number) in enumerate(self._left):
            if found == name:
                del self._left[index]
                return number
        return None

    def admin(self, place: str) -> socket.socket | None:
        """Take the socket of the admin server at this place."""
        number = self.take(ADMIN + place)
        if number is None:
            return None
        sock = socket.socket(fileno=number)
        sock.settimeout(0)
        return sock

    def report_to_standard_error(self) -> None:
        """Write errors to where the running process writes them, from now on."""
        number = self.take(STANDARD_ERROR)
        if number is not None:
            os.dup2(number, 2)
            os.close(number)

    def state_locks(self) -> list[tuple[Path, int]]:
        """Take the locks of all directories of state, each with its directory."""
        found = [(name, number) for name, number in self._left if name.startswith(STATE)]
        self._left = [one for one in self._left if one not in found]
        return [(Path(name.removeprefix(STATE)), number) for name, number in found]

    def close(self) -> None:
        """Close what was not taken."""
        left, self._left = self._left, []
        close_all([number for _, number in left])


def read(said: Said) -> tuple[HandedState, Handed]:
    """Read a message. Raises `HandoverUnreadable` after it has closed the descriptors."""
    try:
        return _state(said.body), Handed(list(zip(map(str, said.body["names"]), said.descriptors, strict=True)))
    except (KeyError, TypeError, ValueError, NoTicketRecord):
        close_all(said.descriptors)
        raise HandoverUnreadable from None


def _state(body: Mapping[str, Any]) -> HandedState:
    return HandedState(
        TicketRecord.parse(bytes.fromhex(body["tickets"])),
        tuple(Verdict(str(upstream), str(server), is_up, until) for upstream, server, is_up, until in body["verdicts"]),
        tuple(map(str, body["program"])),
        {str(name): str(value) for name, value in dict(body["environment"]).items()},
        # a version without it has offered nothing
        tuple(RememberedOffer(str(name), int(port), float(left)) for name, port, left in body.get("http3", ())),
    )
