"""What the builders of all parts of a generation share."""

from dataclasses import dataclass, field

from certs.identities.credential import Credential
from config.loading.loaded import LoadedConfig
from config.values.problems import Location, Problem
from proxy.building.carried import Carried, ContextKey
from proxy.building.unusable_tokens import NONE_UNUSABLE, UnusableTokens
from proxy.net.linger import Linger
from proxy.signing.login_turns import LoginTurns
from proxy.tls.openssl.client_tls import ClientTls
from proxy.tls.openssl.context import ServerContext
from proxy.tls.openssl.stream import TlsLimits
from proxy.tls.tokens.signing_plan import SigningPlan
from proxy.tls.tokens.token_key import TokenKey


@dataclass(frozen=True, slots=True)
class Foundation:
    """A configuration, the list of its problems, and the contexts that are built or used again."""

    loaded: LoadedConfig
    problems: list[Problem]
    tls_limits: TlsLimits
    linger: Linger
    before: Carried
    unusable: UnusableTokens = NONE_UNUSABLE
    """The tokens that are not used."""
    turns: LoginTurns | None = None
    """The turns in which workers log in. None if no other process logs in."""
    contexts: dict[ContextKey, ServerContext] = field(default_factory=dict)
    client_tls: dict[str, ClientTls] = field(default_factory=dict)
    plans: dict[ContextKey, SigningPlan] = field(default_factory=dict)
    token_keys: dict[tuple[bytes, str], TokenKey] = field(default_factory=dict)
    absent: set[tuple[bytes, str]] = field(default_factory=set)
    """Keys that are missing now and are used once they are found.

    They are named by the digest of the credential and the place of the key.
    """

    @classmethod
    def of(
        cls,
        loaded: LoadedConfig,
        before: Carried,
        unusable: UnusableTokens = NONE_UNUSABLE,
        turns: LoginTurns | None = None,
    ) -> "Foundation":
        """Begin with the problems that reading the file has found.

        After an error nothing is built, but the other parts are judged anyway.
        """
        limits = loaded.config.limits
        return cls(
            loaded,
            [*loaded.faults, *loaded.warnings],
            TlsLimits(limits.key_updates_per_minute),
            Linger(limits.linger_bytes, limits.linger_seconds, limits.write_idle_seconds),
            before,
            unusable,
            turns,
        )

    def error(self, location: Location, found: str, allowed: str) -> None:
        self.problems.append(self.loaded.file.error(location, found, allowed))

    def is_faulty(self, *location: str) -> bool:
        """Whether a table has an error already. Errors that follow from it are not reported."""
        inside = self.loaded.file.key(*location) + "."
        return any(problem.is_error and problem.key.startswith(inside) for problem in self.problems)

    def waits_for(self, credential: Credential) -> bool:
        """Whether to begin with a credential although its token does not have its key.

        A new process does this in two cases. If the credential was issued: only a rotation can
        replace the key, and rotations run after the start. If the process replaces another one: a
        key that was lost meanwhile must not stop the identities that do not need it. A process that
        serves does not do this: it keeps the credential before until the new key is found.
        """
        return self.before.is_nothing and (credential.is_issued or self.before.is_replacement)

    def known_context(self, key: ContextKey) -> ServerContext | None:
        """The context that was made of exactly this content, or None."""
        return self.contexts.get(key) or self.before.contexts.get(key)
