"""What the parent asks a worker. Each question names the type of its answer. Pure.

File descriptors travel beside a question (`Channel.ask`); each class says which it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from config.schema import LogFormat
from config.values.addresses import parse_network
from config.values.pkcs11_uri import Pkcs11Uri
from proxy.payload.keys.payload_keys import PayloadKeys
from proxy.processes.messages.answers import (
    Begun,
    Done,
    KeyTried,
    PreparedToServe,
    RingUses,
    ServersSeen,
    WorkerFigures,
)
from proxy.routes.error_pages import ErrorPage
from proxy.tls.handshake.challenge import TlsChallenge
from proxy.tls.openssl.tickets import TicketSecrets

AnswerT_co = TypeVar("AnswerT_co", covariant=True)


class Question(Generic[AnswerT_co]):
    """A question, or an order, whose answer is of that type."""

    __slots__ = ()


# -- the beginning


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a worker writes its lines."""

    format: LogFormat
    has_colours: bool
    queue_lines: int


@dataclass(frozen=True, slots=True)
class Begin(Question[Begun]):
    """Set the worker up: the first question.

    With the descriptors of the log, of the shared counts and of the turns to log in.
    """

    version: str
    """That of the parent's messages; see `version`."""
    column: int | None
    """Where the worker counts in the shared table; None: it counts for itself."""
    log: LogSettings
    slot: int = 0
    """That of the worker: its sockets are those of the slot."""


# -- configurations


@dataclass(frozen=True, slots=True)
class ToldToken:
    """What the parent knows of a token: a `condition` of `certs.tokens.prober`, and a sentence."""

    condition: str
    detail: str
    module_is_down: bool


@dataclass(frozen=True, slots=True)
class Prepare(Question[PreparedToServe]):
    """Build what is served by a configuration, and keep it.

    With the descriptor of the content of its files (`material`).
    """

    number: int
    path: str
    document: Mapping[str, Any] = field(repr=False)
    """The tables of the configuration, which the parent has parsed and accepted."""
    read_at: datetime
    tickets: TicketSecrets = field(repr=False)
    unusable_tokens: Mapping[str, ToldToken]
    silent_slots: tuple[int, ...]
    """Slots of the module whose token does not answer."""
    has_served: bool
    """Whether a worker serves by this configuration already, whose place this one takes."""
    payload: PayloadKeys = field(repr=False)


@dataclass(frozen=True, slots=True)
class Abort(Question[Done]):
    """Drop what was prepared."""


@dataclass(frozen=True, slots=True)
class Accept(Question[Done]):
    """Accept on exactly the listed sockets. With the descriptors of the `new` ones."""

    listeners: Mapping[str, tuple[int, ...]]
    """The numbers of the sockets of each listener."""
    new: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verdict(Question[Done]):
    """What is known about a server.

    `is_up`: None if it is not checked. `drains_until`: monotonic seconds, None without a drain.
    """

    upstream: str
    server: str
    is_up: bool | None = None
    drains_until: float | None = None


@dataclass(frozen=True, slots=True)
class ShowChallenges(Question[Done]):
    """Show CAs exactly these: `names` by tls-alpn-01, `tokens` with their answers by http-01.

    Show all who ask the revocation `lists` of internal CAs, in DER, by their address without scheme
    and port.
    """

    names: tuple[TlsChallenge, ...]
    tokens: Mapping[str, str]
    lists: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MaintainedRoute:
    """A route that an operator has taken out of service."""

    route: str
    """Its name, as in the log."""
    since: float
    """UNIX seconds."""
    retry_after: int
    """Seconds, for the clients."""
    page: str
    """The answer for clients; empty for the page that the route has for a 503."""
    page_is_html: bool
    allowed: tuple[str, ...]
    """The networks whose clients are served anyway."""

    def require_usable(self) -> None:
        """Raises `ValueError` and `PageUnusable` for what no worker can use."""
        for network in self.allowed:
            parse_network(network)
        if self.page:
            ErrorPage(self.page.encode(), is_html=self.page_is_html)
        if self.retry_after < 1:
            raise ValueError("no time")


@dataclass(frozen=True, slots=True)
class ShowMaintenance(Question[Done]):
    """Answer the requests of exactly these routes with 503."""

    routes: tuple[MaintainedRoute, ...]


@dataclass(frozen=True, slots=True)
class ShowShares(Question[Done]):
    """Keep to these shares of the limits of the fleet, by their names."""

    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ShowAlternatives(Question[Done]):
    """Tell clients these values of Alt-Svc, by the names of their listeners; others say nothing."""

    values: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class KnownBeside:
    """What a worker has to know beside its configuration, and what changes between two of them."""

    verdicts: tuple[Verdict, ...]
    challenges: ShowChallenges
    refused_tokens: tuple[str, ...]
    """The tokens to which no process logs in."""
    maintenance: ShowMaintenance
    shares: ShowShares
    alternatives: ShowAlternatives


@dataclass(frozen=True, slots=True)
class Commit(Question[Done]):
    """Serve by what was prepared under this number. With the descriptors of `accept`."""

    number: int
    known: KnownBeside
    accept: Accept


# -- while it serves


@dataclass(frozen=True, slots=True)
class Ping(Question[Done]):
    """Answer, if the loop turns."""


@dataclass(frozen=True, slots=True)
class SwitchLog(Question[Done]):
    """Write the log in this format from now on, to the descriptor that comes along."""

    format: LogFormat


@dataclass(frozen=True, slots=True)
class TakeConnection(Question[Done]):
    """Serve the connection of the descriptor, as if the listener had accepted it."""

    listener: str


@dataclass(frozen=True, slots=True)
class TokenLookedAt(Question[Done]):
    """The parent has looked at a token: `ok` says whether it is healthy.

    `silent_slots` are those of the module whose token does not answer.
    """

    token: str
    ok: bool
    silent_slots: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PinVerdict(Question[Done]):
    """Whether a token refuses its PIN: no process logs in then until the parent says otherwise."""

    token: str
    is_refused: bool


@dataclass(frozen=True, slots=True)
class TryKey(Question[KeyTried]):
    """Sign with a key of a token, which `key` names by token and serial, label and id."""

    key: Pkcs11Uri


@dataclass(frozen=True, slots=True)
class TellFigures(Question[WorkerFigures]):
    pass


@dataclass(frozen=True, slots=True)
class TellServers(Question[ServersSeen]):
    """Tell how each server is seen: a small part of the figures, for those who ask often."""


@dataclass(frozen=True, slots=True)
class TakeRingUses(Question[RingUses]):
    """Tell what was encrypted, and count from zero again."""


# -- the end


@dataclass(frozen=True, slots=True)
class Drain(Question[WorkerFigures]):
    """Accept nothing more, let what is in progress finish within `seconds`, then end.

    `gently`: see `connections.Drainable`.
    """

    seconds: float
    gently: bool


@dataclass(frozen=True, slots=True)
class Leave(Question[WorkerFigures]):
    """Drain within `seconds` without the parent, which ends after the answer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class EndNow(Question[Done]):
    """Let a drain in progress wait no longer."""


ParentQuestion = (
    Begin
    | Prepare
    | Abort
    | Accept
    | Verdict
    | ShowChallenges
    | ShowMaintenance
    | ShowShares
    | ShowAlternatives
    | Commit
    | Ping
    | SwitchLog
    | TakeConnection
    | TokenLookedAt
    | PinVerdict
    | TryKey
    | TellFigures
    | TellServers
    | TakeRingUses
    | Drain
    | Leave
    | EndNow
)
WorkerAnswer = Begun | Done | PreparedToServe | WorkerFigures | ServersSeen | RingUses | KeyTried
