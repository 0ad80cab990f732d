"""What the running proxy says of a key in a token: whether its workers sign with it, before and after it is destroyed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from certs.hsm.facts import KeyFacts, TokenFacts
from config.problems import ConfigError
from proxy.admin.client import AdminSilent, AdminUnreachable, UnixAdminClient, connect
from proxy.hsm.sources import NotChosen

_ALIVE_SECONDS: Final = 10.0
# The proxy waits ten seconds for its workers (`supervisor.control`).
_TRY_SECONDS: Final = 20.0


class StillSigns(NotChosen):
    """A key is gone from its token, and a worker signs with it all the same, or has not said."""


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that was asked over its admin socket; `missing` says why there is none."""

    client: UnixAdminClient | None
    missing: str = ""

    @classmethod
    def of(cls, config: Path | None, socket: Path | None = None) -> Self:
        """The proxy at a socket, that of a configuration, or the one where a proxy is by default.

        Raises `NotChosen` for one that does not answer.
        """
        try:
            client = connect(config, socket)
            client.get("/healthz", _ALIVE_SECONDS)
        except AdminSilent as error:
            raise NotChosen(str(error)) from None
        except (AdminUnreachable, ConfigError) as error:
            return cls(None, str(error))
        return cls(client)

    def require(self, label: str) -> None:
        """Raise `NotChosen` where there is no proxy that could say whether a key is in use."""
        if self.client is None:
            raise NotChosen(
                f"nobody says whether {label} is in use: {self.missing}; allowed: --config FILE, --socket PATH of the running proxy, "
                "or --unverified where there is neither"
            )

    def refuse_used(self, token: TokenFacts, key: KeyFacts) -> None:
        """Raise `NotChosen` for a key that a worker serves by, whatever the file of the configuration says now."""
        users = [str(one["slot"]) for one in self._workers(token, key) if one["is_used"]]
        if users:
            raise NotChosen(
                f"worker {', '.join(users)} of the running proxy signs with {key.label} of token {token.label}; "
                "allowed: a key that no credential names; take it out and reload first"
            )

    def verify_gone(self, token: TokenFacts, key: KeyFacts) -> str:
        """A sentence about who was asked. Raises `StillSigns`."""
        if self.client is None:
            return f"No worker was asked whether it still signs with it: {self.missing}"
        workers = self._workers(token, key)
        left = [str(one["slot"]) for one in workers if one["signs"] is not False]
        if left:
            raise StillSigns(
                f"{key.label} is gone from token {token.label}, but worker {', '.join(left)} signs with it or gives no answer; "
                "restart the proxy"
            )
        return f"{len(workers)} worker{'s' if len(workers) != 1 else ''} of the running proxy tried it: none can sign with it."

    def _workers(self, token: TokenFacts, key: KeyFacts) -> Sequence[Mapping[str, Any]]:
        if self.client is None:
            return ()
        query = {"token": token.label, "serial": token.serial, "object": key.label, "id": key.id.hex()}
        try:
            status, answer = self.client.post("/keys/try", query, _TRY_SECONDS)
        except AdminUnreachable as error:
            raise NotChosen(str(error)) from None
        if status != 200:
            raise NotChosen(f"{self.client.path}: {answer.get('detail')}")
        workers: Sequence[Mapping[str, Any]] = answer["workers"]
        return workers
