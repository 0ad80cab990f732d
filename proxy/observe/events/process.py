"""Events in the life of the process. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from config.tables.plain import PLAIN_LISTENER
from config.values.problems import Problem
from proxy.observe.events.event import Event, Level
from proxy.observe.startup import ListenerOffer, Offers


@dataclass(frozen=True, slots=True)
class ProxyReady(Event):
    """The proxy accepts connections. It lists what the listeners really offer, which may be less
    than the configuration asks for."""

    event = "ready"
    level = Level.INFORMATION

    workers: int
    """Number of worker processes."""
    hot_path: str
    """`compiled`, or `interpreted`: what runs for each request and each byte."""
    openssl: str
    """Version of OpenSSL."""
    libssl: str
    """File that OpenSSL was loaded from."""
    providers: Sequence[str]
    """OpenSSL providers with their versions."""
    metrics: Sequence[str]
    """Addresses that serve `/metrics`."""
    listeners: Mapping[str, Sequence[str]]
    """Bound addresses, by listener."""
    offers: Sequence[ListenerOffer]
    """By listener: `pq` (policy for post-quantum groups), `groups`, `cipher_suites`, and
    `identities` with the algorithms of their keys."""

    @classmethod
    def of(cls, offers: Offers, addresses: Mapping[str, Sequence[str]], metrics: Sequence[str], workers: int) -> Self:
        """Put together what the workers offer, and the addresses that the parent has bound."""
        return cls(
            workers=workers,
            hot_path=offers.hot_path,
            openssl=offers.openssl,
            libssl=offers.libssl,
            providers=list(offers.providers),
            metrics=list(metrics),
            listeners={name: list(several) for name, several in addresses.items()},
            offers=offers.listeners,
        )

    def as_json(self) -> dict[str, Any]:
        """Answer the fields; `offers` is a table by listener."""
        offers = {
            one.name: {
                "pq": one.pq,
                "groups": one.groups,
                "cipher_suites": one.cipher_suites,
                "identities": {name: list(algorithms) for name, algorithms in one.identities.items()},
            }
            for one in self.offers
        }
        return {**Event.as_json(self), "offers": offers}

    def sentence(self) -> str:
        providers = ", ".join(self.providers)
        return (
            f"ready: hot path {self.hot_path}; OpenSSL {self.openssl} ({self.libssl}), providers: {providers}; "
            f"workers: {self.workers}"
        )

    def lines(self) -> list[str]:
        """Also show every listener, on lines of its own."""
        lines = [self.sentence()]
        for one in self.offers:
            lines.append(f"listener {one.name}: {', '.join(self.listeners[one.name])}  pq = {one.pq}")
            lines.append(f"  groups  {one.groups}")
            lines.append(f"  suites  {one.cipher_suites}")
            lines += [f"  {name}  {', '.join(algorithms)}" for name, algorithms in one.identities.items()]
        if PLAIN_LISTENER in self.listeners:
            lines.append(f"without TLS: {', '.join(self.listeners[PLAIN_LISTENER])}")
        lines += [f"metrics: http://{address}/metrics" for address in self.metrics]
        return lines


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    """The proxy has drained and ends. It is the last event of the process, with the totals of its
    life."""

    event = "stopped"
    level = Level.INFORMATION

    handshakes: Sequence[Mapping[str, Any]]
    """Finished handshakes: `count` for each `listener`, `identity` and `outcome`."""
    failures: Sequence[Mapping[str, Any]]
    """Failed handshakes and refused connections: `count` for each `listener` and `reason`."""
    requests: Sequence[Mapping[str, Any]]
    """Requests: `count` for each `listener` and class of `status`."""

    def sentence(self) -> str:
        outcomes: Counter[str] = Counter()
        for row in self.handshakes:
            outcomes[row["outcome"]] += row["count"]
        handshakes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "none"
        requests = sum(row["count"] for row in self.requests)
        failures = sum(row["count"] for row in self.failures)
        return f"stopped: {requests} requests; handshakes: {handshakes}; failures: {failures}"


@dataclass(frozen=True, slots=True)
class Drained(Event):
    """A worker that survived its parent ends, because its last connection has ended. It happens
    after an upgrade, and at a restart under systemd."""

    event = "drained"
    level = Level.INFORMATION

    pid: int
    """Process ID of the worker."""

    def sentence(self) -> str:
        return f"process {self.pid}, which was started before the restart or upgrade, has ended its last connection"


@dataclass(frozen=True, slots=True)
class UnexpectedError(Event):
    """An unexpected error. One connection or task ended; the rest
    continues.

    It is a defect of Plexigate, or of the system below it: report it with the lines around it (see
    SECURITY.md if a client can cause it at will).
    """

    event = "error"
    level = Level.ACTION

    error: str
    """Class of the error."""
    detail: str
    """Its message."""

    @classmethod
    def of(cls, error: BaseException) -> Self:
        return cls(type(error).__name__, str(error))

    def sentence(self) -> str:
        return f"unexpected {self.error}: {self.detail}"


@dataclass(frozen=True, slots=True)
class ConfigurationWarning(Event):
    """The configuration is usable, but a value is doubtful. Written at the start and after each
    reload.

    Change the value to what `allowed` says. `plexigate check FILE` shows all warnings of a file.
    """

    event = "warning"
    level = Level.WARNING

    file: str
    """The configuration file."""
    key: str
    """Path of the value in the file, such as `identity.chat.key`; empty for the whole file."""
    found: str
    """What stands there."""
    allowed: str
    """What would be better."""
    severity: str
    """Always `warning`."""
    line: int | None
    """Line of the value, from 1; null for the whole file."""
    column: int | None
    """Column of the value, from 1; null for the whole file."""

    @classmethod
    def of(cls, problem: Problem) -> Self:
        return cls(**problem.as_json())

    def sentence(self) -> str:
        return str(Problem.from_json(self.as_json()))


@dataclass(frozen=True, slots=True)
class SocketUnused(Event):
    """systemd passed a listening socket that belongs to no listener. Clients that connect to it get
    no answer.

    Give a `[listener]` this name or address, or remove the socket from the `.socket` unit.
    """

    event = "socket_unused"
    level = Level.ACTION

    name: str
    """`FileDescriptorName=` of the socket."""
    address: str
    """The address that it is bound to."""

    def sentence(self) -> str:
        return (
            f"the socket {self.name} at {self.address} from the service manager belongs to no listener: its clients get "
            "no answer; give a listener this name or address"
        )


@dataclass(frozen=True, slots=True)
class Http3Offered(Event):
    """A handshake of the proxy with itself by UDP has succeeded: from now on, the answers of the
    listener offer HTTP/3."""

    event = "http3_offered"
    level = Level.INFORMATION

    listener: str
    """Name of the listener."""
    port: int
    """The UDP port in the answers."""

    def sentence(self) -> str:
        return f"listener {self.listener} serves HTTP/3: clients are told to use UDP port {self.port}"


@dataclass(frozen=True, slots=True)
class Http3NotOffered(Event):
    """A listener with `http3` cannot be reached by UDP, or a reload has switched `http3` off. Its
    answers offer HTTP/3 no more, and clients use HTTP/2.

    `plexigate doctor` shows what is missing. The proxy tries again every 30 seconds.
    """

    event = "http3_not_offered"
    level = Level.WARNING

    listener: str
    """Name of the listener."""
    reason: str
    """Why."""

    def sentence(self) -> str:
        return f"listener {self.listener} does not offer HTTP/3: {self.reason}; clients use HTTP/2"


@dataclass(frozen=True, slots=True)
class Http3HandOnFailed(Event):
    """A worker has no Unix socket by which the others hand on packets of its HTTP/3 connections.
    These connections end in an upgrade, and when all workers share a UDP socket.

    Look at the error: the limit on open files, or a rule against Unix sockets with an abstract name
    (AppArmor, seccomp, `RestrictAddressFamilies=` of systemd). Then reload, which tries again.
    """

    event = "http3_hand_on_failed"
    level = Level.WARNING

    listener: str
    """Name of the listener."""
    error: str
    """Of the system."""

    def sentence(self) -> str:
        return (
            f"listener {self.listener}: other workers cannot hand on packets of HTTP/3 to this one: {self.error}; "
            "its connections end in an upgrade"
        )


@dataclass(frozen=True, slots=True)
class AdminCrowded(Event):
    """The admin socket or the port of the metrics has reached its connection limit. Each new
    one replaces an older one. Written at most once a minute.

    Look for a program that opens connections and leaves them open.
    """

    event = "admin_crowded"
    level = Level.WARNING

    socket: str
    """`the admin socket` or `admin.metrics_bind`."""
    connections: int
    """Connections now."""
    sent_away: int
    """Connections that were closed to make room, since the start."""

    def sentence(self) -> str:
        return (
            f"{self.socket} has {self.connections} connections: each new one replaces an older one, first those without "
            f"a request; {self.sent_away} were closed so far"
        )


@dataclass(frozen=True, slots=True)
class LogNotReopened(Event):
    """SIGUSR1 asked for the log file to be opened again, and that failed. The proxy continues with
    the previous file.

    Correct the path or the permissions of `log.file`, then send SIGUSR1 again.
    """

    event = "log_not_reopened"
    level = Level.ACTION

    detail: str
    """Reason from the system."""

    def sentence(self) -> str:
        return f"the log file could not be opened again, the previous one stays in use: {self.detail}"


@dataclass(frozen=True, slots=True)
class SpoolFailed(Event):
    """Responses for slow clients could not be spooled: the temporary directory takes no file, or
    its disk is full. Until it takes them again, slow clients keep connections to servers in use.

    Make room on the disk, or name another directory by the environment variable `TMPDIR`. Without
    any disk, set `limits.spool_bytes = 0`.
    """

    event = "spool_failed"
    level = Level.WARNING

    detail: str
    """Reason from the system."""

    def sentence(self) -> str:
        return f"responses for slow clients cannot be spooled to disk: {self.detail}"


@dataclass(frozen=True, slots=True)
class LogLinesLost(Event):
    """Log lines were dropped because the queue was full, or were not written because of an error.
    Written when there is room again.

    Check the disk of `log.file`, or the program that reads standard output.
    `limits.log_queue_lines` makes the queue longer.
    """

    event = "log_lines_lost"
    level = Level.WARNING

    count: int
    """Lines lost since the last such event of this process."""

    def sentence(self) -> str:
        return f"{self.count} log lines were lost"
