"""What the admin server asks of the process that runs the workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from config.pkcs11_uri import Pkcs11Uri
from proxy.admin.certificates import CertificateControl
from proxy.admin.payload import PayloadControl
from proxy.observe.readiness import Readiness
from proxy.observe.scrape import CertificateFacts, ListenerFacts, Scrape, WorkerScrape

__all__ = ["CertificateFacts", "Control", "ListenerFacts", "ReloadReport", "Scrape", "UnknownServer", "WorkerScrape"]


class UnknownServer(Exception):
    """There is no such upstream, or it has no such server; `known` are the servers that there are,
    as `upstream/server`.
    """

    def __init__(self, upstream: str, server: str, known: Sequence[str]) -> None:
        """Remember what was asked for and what there is."""
        super().__init__(upstream, server, known)
        self.upstream = upstream
        self.server = server
        self.known = known

    def __str__(self) -> str:
        """One sentence."""
        return f"upstream {self.upstream} has no server {self.server}; there are {', '.join(self.known) or 'none'}"


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What a reload did, or would do: `changes` and `problems` as `Change.as_json` and
    `Problem.as_json` write them.
    """

    ok: bool
    changes: Sequence[dict[str, Any]]
    problems: Sequence[dict[str, Any]]
    generation: int


class Control(Protocol):
    """The parent process, as the admin server sees it."""

    async def scrape(self) -> Scrape:
        """Ask all workers for what they count."""

    async def status(self) -> dict[str, Any]:
        """The document of `GET /status`: `observe.status.status(await self.scrape())`."""

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Read the configuration again and serve by it, or only say what would change."""

    async def drain_server(self, upstream: str, server: str, seconds: float | None) -> str | None:
        """Send no new requests to a server; its WebSockets may stay for `seconds` (None: the
        configured drain time).

        Answers a sentence where no server of the upstream takes requests any more. Raises
        `UnknownServer`.
        """

    async def undrain_server(self, upstream: str, server: str) -> None:
        """Let a server have requests again. Raises `UnknownServer`."""

    async def try_key(self, key: Pkcs11Uri) -> dict[str, Any]:
        """What a key of a token is used for (`uses`: paths), and what comes of it when each of the
        `workers` tries to sign with it.

        Of each: slot, pid, `is_used`, `signs` (None: no answer).
        """

    async def readiness(self) -> Readiness:
        """Whether all that is to serve can serve, and what cannot."""

    def urgency(self) -> str:
        """How urgent the most urgent rotation is, in a word: calm, due, late, grave, expired."""

    @property
    def rotation(self) -> CertificateControl:
        """The rotation of certificates."""

    @property
    def payload(self) -> PayloadControl:
        """The rings of payload encryption."""
