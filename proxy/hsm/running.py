"""What the running proxy says of a key in a token: what it uses it for, before it is destroyed, and whether a worker signs with it after."""

from collections.abc import Mapping
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
        """Raise `NotChosen` for a key that a worker serves by, or the parent needs, whatever the file of the configuration says now."""
        if self.client is None:
            return
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

    def verify_gone(self, token: TokenFacts, key: KeyFacts) -> str:
        """A sentence about who was asked. Raises `StillSigns`."""
        if self.client is None:
            return f"No worker was asked whether it still signs with it: {self.missing}"
        workers = self._asked(self.client, token, key)["workers"]
        left = [str(one["slot"]) for one in workers if one["signs"] is not False]
        if left:
            raise StillSigns(
                f"{key.label} is gone from token {token.label}, but worker {', '.join(left)} signs with it or gives no answer; "
                "restart the proxy"
            )
        return f"{len(workers)} worker{'s' if len(workers) != 1 else ''} of the running proxy tried it: none can sign with it."

    @staticmethod
    def _asked(client: UnixAdminClient, token: TokenFacts, key: KeyFacts) -> Mapping[str, Any]:
        query = {"token": token.label, "serial": token.serial, "object": key.label, "id": key.id.hex()}
        try:
            status, answer = client.post("/keys/try", query, _TRY_SECONDS)
        except AdminUnreachable as error:
            raise NotChosen(str(error)) from None
        if status != 200:
            raise NotChosen(f"{client.path}: {answer.get('detail')}")
        if "uses" not in answer:
            raise NotChosen(
                f"{client.path}: an answer without what the key is used for; allowed: a proxy of this version, so restart it first"
            )
        return answer
