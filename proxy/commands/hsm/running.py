"""What the running proxy says of a key in a token: what it uses it for, before it is destroyed, and whether a worker signs with it after."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

from certs.hsm.facts import KeyFacts, TokenFacts
from config.problems import ConfigError
from proxy.admin.client import AdminAbsent, AdminUnreachable, connect
from proxy.commands.hsm.sources import NotChosen

_ALIVE_SECONDS: Final = 10.0
# The proxy waits ten seconds for its workers (`supervisor.control`).
_TRY_SECONDS: Final = 20.0


class AdminAsked(Protocol):
    """The admin server of a proxy, which is asked over its socket: a `UnixAdminClient`."""

    @property
    def path(self) -> Path:
        """Its socket."""

    def post(self, path: str, query: Mapping[str, str], seconds: float | None = None) -> tuple[int, dict[str, Any]]:
        """Ask; answers the status and the document. Raises `AdminUnreachable`."""


class StillSigns(NotChosen):
    """A key is gone from its token, and a worker signs with it all the same, or has not said."""


class Unanswered(NotChosen):
    """Nobody says whether a key is in use, while there may be a proxy that needs it."""

    def __init__(self, label: str, why: str) -> None:
        super().__init__(
            f"nobody says whether {label} is in use: {why}; allowed: --socket PATH of a proxy that answers, --config FILE of one that "
            "does not run, or --unverified"
        )
        self.why = why


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """A proxy that was asked over its admin socket; `missing` says why there is none."""

    client: AdminAsked | None
    missing: str = ""
    is_down: bool = False
    """Whether that means that none runs, so that its configuration alone says what is in use."""

    @classmethod
    def of(cls, config: Path | None, socket: Path | None = None) -> Self:
        """The proxy at a socket, that of a configuration, or the one where a proxy is by default.

        Only the socket of a configuration tells by its absence that no proxy runs: one that is named was named for somebody who answers,
        and one that cannot be asked may be that of a proxy that signs.
        """
        try:
            client = connect(config, socket)
            client.get("/healthz", _ALIVE_SECONDS)
        except AdminAbsent as error:
            return cls(None, str(error), is_down=config is not None and socket is None)
        except (AdminUnreachable, ConfigError) as error:
            return cls(None, str(error))
        return cls(client)

    def refuse_used(self, token: TokenFacts, key: KeyFacts) -> None:
        """Raise `NotChosen` for a key that a worker serves by, or the parent needs, whatever the file of the configuration says now.

        It is `Unanswered` where nobody, or not everybody, says so.
        """
        if self.client is None:
            if self.is_down:
                return
            raise Unanswered(key.label, self.missing)
        answer = self._asked(self.client, token, key)
        users = [str(one["slot"]) for one in answer["workers"] if one["is_used"]]
        if users:
            raise NotChosen(
                f"worker {', '.join(users)} of the running proxy signs with {key.label} of token {token.label}; "
                "allowed: a key that no credential names; take it out and reload first"
            )
        if answer["uses"]:
            raise NotChosen(
                f"the running proxy uses {key.label} of token {token.label}: {', '.join(answer['uses'])}; "
                "allowed: a key that neither its configuration nor its state names; take it out first, and restart or reload"
            )
        silent = [str(one["slot"]) for one in answer["workers"] if one["is_used"] is None]
        if silent:
            raise Unanswered(key.label, f"worker {', '.join(silent)} of the running proxy gives no answer")

    def verify_gone(self, token: TokenFacts, key: KeyFacts) -> str:
        """A sentence about who was asked. Raises `StillSigns`."""
        if self.client is None:
            return f"No worker was asked whether it still signs with it: {self.missing}"
        try:
            workers = self._asked(self.client, token, key)["workers"]
        except Unanswered as error:
            raise StillSigns(
                f"{key.label} is gone from token {token.label}, but {error.why}; restart the proxy"
            ) from None
        left = [str(one["slot"]) for one in workers if one["signs"] is not False]
        if left:
            raise StillSigns(
                f"{key.label} is gone from token {token.label}, but worker {', '.join(left)} signs with it or gives no answer; "
                "restart the proxy"
            )
        return f"{len(workers)} worker{'s' if len(workers) != 1 else ''} of the running proxy tried it: none can sign with it."

    @staticmethod
    def _asked(client: AdminAsked, token: TokenFacts, key: KeyFacts) -> Mapping[str, Any]:
        query = {"token": token.label, "serial": token.serial, "object": key.label, "id": key.id.hex()}
        try:
            status, answer = client.post("/keys/try", query, _TRY_SECONDS)
        except AdminUnreachable as error:
            raise Unanswered(key.label, str(error)) from None
        if status != 200:
            raise Unanswered(key.label, f"{client.path}: {answer.get('detail')}")
        if "uses" not in answer:
            found = "an answer without what the key is used for, of another version: restart it first"
            raise Unanswered(key.label, f"{client.path}: {found}")
        return answer
