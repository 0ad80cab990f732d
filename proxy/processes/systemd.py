"""What systemd and a service tell each other (sd_notify(3), sd_listen_fds(3)).

Without systemd there are no variables, and nothing is sent. Reading a variable removes it from the
environment, so that no child takes it for its own.

Theory of the store. With `FileDescriptorStoreMax=` systemd keeps copies of the listening sockets,
and passes them to the next process of the service. As long as there is a copy, the kernel completes
connections and queues them: neither a restart nor a crash refuses a client.
"""

import asyncio
import contextlib
import socket
from array import array
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Final

# The first descriptor that is passed (SD_LISTEN_FDS_START in sd_listen_fds(3)).
_FIRST_DESCRIPTOR: Final = 3
# What sd_listen_fds_with_names(3) calls a socket whose unit gives no name.
_NAMELESS: Final = "unknown"
# The names of sockets that a process of the service has given to the store begin with it.
KEPT: Final = "plexigate "
# The kernel passes 253 descriptors with a message (SCM_MAX_FD in unix(7)).
_DESCRIPTORS_AT_ONCE: Final = 250
# systemd takes datagrams at once, unless it reloads itself. Without READY=1 it ends the service.
_SEND_SECONDS: Final = 1.0


class InheritedSocketUnusable(Exception):
    """A descriptor that systemd passed is neither a listening TCP socket nor one of UDP.

    Has its `name`, its `number`, and what was `found`.
    """

    def __init__(self, name: str, number: int, found: str) -> None:
        super().__init__(name, number, found)
        self.name = name
        self.number = number
        self.found = found

    def __str__(self) -> str:
        return (
            f"LISTEN_FDS: descriptor {self.number} ({self.name}): found {self.found}; allowed: a listening TCP socket "
            "(ListenStream= with an address and a port, Accept=no, in the .socket unit), or one of UDP "
            "(ListenDatagram=) for HTTP/3"
        )


class Notifier:
    """Tells systemd the state of the service, if the environment asks for it."""

    def __init__(self, address: str | None) -> None:
        """`address`: of a Unix datagram socket, "@" in front if abstract; None: tell nothing."""
        self._address: Final = address
        self.is_silent = False
        """Whether nothing is sent: systemd listens to the main process of the service only."""

    @property
    def is_heard(self) -> bool:
        """Whether a service manager listens."""
        return self._address is not None

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "Notifier":
        """Take NOTIFY_SOCKET. A vsock address is for the init of a virtual machine: ignore it."""
        address = environment.pop("NOTIFY_SOCKET", "")
        return cls(address if address.startswith(("/", "@")) else None)

    def ready(self, status: str) -> None:
        """Everything is served: after the start, and after each reload, also one that failed."""
        self._send(f"READY=1\n{_status(status)}")

    def reloading(self, monotonic_usec: int) -> None:
        """A reload begins. `monotonic_usec`: CLOCK_MONOTONIC now; it tells reloads apart."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_usec}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        self._send("WATCHDOG=1")

    def main_process(self, pid: int) -> None:
        """Another process is the main process of the service from now on."""
        self._send(f"MAINPID={pid}")

    async def feed(self, seconds: float) -> None:
        """Send a sign of life every `seconds`, until cancelled."""
        while True:
            self.watchdog()
            await asyncio.sleep(seconds)

    def keep(self, name: str, sockets: Sequence[socket.socket]) -> None:
        """Have systemd keep copies under a name. It keeps no second copy of the same socket."""
        for start in range(0, len(sockets), _DESCRIPTORS_AT_ONCE):
            some = [sock.fileno() for sock in sockets[start : start + _DESCRIPTORS_AT_ONCE]]
            # FDPOLL=0: no event of a listening socket makes its copy useless
            self._send(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", some)

    def forget(self, name: str) -> None:
        """Have systemd close the copies under a name."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def _send(self, message: str, descriptors: Sequence[int] = ()) -> None:
        if self._address is None or self.is_silent:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        # the service continues if systemd does not listen
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_SEND_SECONDS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
            sock.sendmsg([message.encode()], rights, 0, address)


def _status(text: str) -> str:
    # each line is an assignment of its own
    return f"STATUS={' '.join(text.split())}"


class SocketStore:
    """The listening sockets of which systemd keeps copies."""

    def __init__(self, notifier: Notifier, most: int) -> None:
        """`most`: how many copies systemd keeps; 0: there is no store."""
        self._notifier = notifier
        self._most = most
        self._names: set[str] = set()
        self.holds_all = False
        """Whether systemd keeps every socket: the next process serves the connections that wait."""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], notifier: Notifier) -> "SocketStore":
        """Take FDSTORE (systemd.exec(5)), which is set if FileDescriptorStoreMax= is not 0."""
        most = environment.pop("FDSTORE", "")
        return cls(notifier, int(most) if most.isdecimal() else 0)

    def begins_with(self, names: Sequence[str]) -> None:
        """Take the names under which the previous process has left copies."""
        self._names.update(name for name in names if name.startswith(KEPT))

    def follow(self, sockets: Mapping[str, Sequence[socket.socket]]) -> None:
        """Have systemd keep copies of exactly these, by name: of all of them, or of none."""
        fits = sum(map(len, sockets.values())) <= self._most
        wanted = sockets if fits else {}
        for name in self._names - wanted.keys():
            self._notifier.forget(name)
        for name, several in wanted.items():
            self._notifier.keep(name, several)
        self._names = set(wanted)
        self.holds_all = self._most > 0 and fits


def watchdog_seconds(environment: MutableMapping[str, str], pid: int) -> float | None:
    """The longest time in seconds between two signs of life of process `pid`; None: none is due.

    sd_watchdog_enabled(3) advises to send one after half of that time.
    """
    microseconds = environment.pop("WATCHDOG_USEC", "")
    of_process = environment.pop("WATCHDOG_PID", str(pid))
    if of_process != str(pid) or not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    return int(microseconds) / 1_000_000


def inherited_sockets(environment: MutableMapping[str, str], pid: int) -> list[tuple[str, socket.socket]]:
    """The sockets of systemd for process `pid`, with the FileDescriptorName= of each.

    They do not block, and children do not inherit them. Several may have the same name: a unit with
    several ListenStream= gives it to each. Raises `InheritedSocketUnusable`.
    """
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if environment.pop("LISTEN_PID", "") != str(pid) or not count.isdecimal():
        return []
    names += [_NAMELESS] * (int(count) - len(names))
    numbers = range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count))
    return [
        (name or _NAMELESS, _listening(name or _NAMELESS, number)) for number, name in zip(numbers, names, strict=False)
    ]


def _listening(name: str, number: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=number)
    except OSError as error:
        raise InheritedSocketUnusable(name, number, f"no socket ({error.strerror})") from error
    is_internet = sock.family in {socket.AF_INET, socket.AF_INET6}
    is_udp = is_internet and sock.type is socket.SOCK_DGRAM
    is_tcp = is_internet and sock.type is socket.SOCK_STREAM
    if not is_udp and not (is_tcp and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        found = f"a socket of {sock.family.name}, {sock.type.name}" + (", which does not listen" if is_tcp else "")
        sock.detach()
        raise InheritedSocketUnusable(name, number, found)
    sock.settimeout(0)
    sock.set_inheritable(inheritable=False)
    return sock
