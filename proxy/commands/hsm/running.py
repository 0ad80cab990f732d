"""Asks the running proxy about a key in a token.

Before the key is destroyed: what the proxy uses it for. Afterwards: whether a worker can still sign
with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

from certs.hsm.facts import KeyFacts, TokenFacts
from config.values.problems import ConfigError
from proxy.admin.client import AdminAbsent, AdminUnreachable, connect
from proxy.api.commands import KeyTrialDocument
from proxy.commands.hsm.sources import NotChosen

_ALIVE_SECONDS: Final = 10.0
# the proxy waits ten seconds for its workers (`supervisor.control`)
_TRY_SECONDS: Final = 20.0


class AdminAsked(Protocol):
    """The admin server of a proxy, which is asked over its socket: a `UnixAdminClient`."""

    @property
    def path(self) -> Path: ...

    def post(self, path: str, query: Mapping[str, str], seconds: float | None = None) -> tuple[int, Any]:
        """Ask; answers the status and the document. Raises `AdminUnreachable`."""


class StillSigns(NotChosen):
    """The key is gone from its token, but a worker still signs with it or gave no answer."""


class Unanswered(NotChosen):
    """It is unknown whether a running proxy uses the key."""

    def __init__(self, label: str, why: str) -> None:
        super().__init__(
            f"cannot verify that {label} is not in use: {why}; allowed: --socket PATH of a proxy that answers, "
            "--config FILE of a proxy that is stopped, or --unverified"
        )
        self.why = why


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """A proxy that answers on its admin socket; `missing` says why there is none."""

    client: AdminAsked | None
    missing: str = ""
    is_down: bool = False
    """Whether the proxy is known to be stopped: then its configuration alone says what it uses."""

    @classmethod
    def of(cls, config: Path | None, socket: Path | None = None) -> Self:
        """The proxy at `socket`, at the socket of `config`, or at the default socket.

        A missing socket means "stopped" only for the socket of a configuration. A path given by
        --socket is expected to answer. A socket that exists but does not answer may belong to a
        proxy that signs.
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
        """Raise `NotChosen` for a key that a worker or the parent uses, even if the file no longer
        names it.

        Raises `Unanswered` if the proxy or one of its workers does not answer.
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
                "allowed: a key that no credential names; remove it from the configuration and reload first"
            )
        if answer["uses"]:
            raise NotChosen(
                f"the running proxy uses {key.label} of token {token.label}: {', '.join(answer['uses'])}; "
                "allowed: a key that neither its configuration nor its state names; remove it there, then reload or restart"
            )
        silent = [str(one["slot"]) for one in answer["workers"] if one["is_used"] is None]
        if silent:
            raise Unanswered(key.label, f"worker {', '.join(silent)} of the running proxy does not answer")

    def verify_gone(self, token: TokenFacts, key: KeyFacts) -> str:
        """Ask the workers to sign, and return the result as a sentence. Raises `StillSigns`."""
        if self.client is None:
            return f"The workers were not asked whether they still sign with it: {self.missing}"
        try:
            workers = self._asked(self.client, token, key)["workers"]
        except Unanswered as error:
            raise StillSigns(
                f"{key.label} is gone from token {token.label}, but {error.why}; restart the proxy"
            ) from None
        left = [str(one["slot"]) for one in workers if one["signs"] is not False]
        if left:
            raise StillSigns(
                f"{key.label} is gone from token {token.label}, but worker {', '.join(left)} still signs with it or does not answer; "
                "restart the proxy"
            )
        return f"{len(workers)} worker{'s' if len(workers) != 1 else ''} of the running proxy tried it: none can sign with it."

    @staticmethod
    def _asked(client: AdminAsked, token: TokenFacts, key: KeyFacts) -> KeyTrialDocument:
        query = {"token": token.label, "serial": token.serial, "object": key.label, "id": key.id.hex()}
        try:
            status, answer = client.post("/keys/try", query, _TRY_SECONDS)
        except AdminUnreachable as error:
            raise Unanswered(key.label, str(error)) from None
        if status != 200:
            raise Unanswered(key.label, f"{client.path}: {answer.get('detail')}")
        if "uses" not in answer:
            found = "the proxy has another version and does not say what the key is used for; restart it first"
            raise Unanswered(key.label, f"{client.path}: {found}")
        trial: KeyTrialDocument = answer
        return trial
