"""What all parts of one building have in common."""

from dataclasses import dataclass, field

from certs.identities.credential import Credential
from config.loaded import LoadedConfig
from config.problems import Location, Problem
from proxy.building.carried import Carried, ContextKey
from proxy.building.closed_tokens import NONE_CLOSED, ClosedTokens
from proxy.net.sockets import Linger
from proxy.signing.login_turns import LoginTurns
from proxy.tls.client_tls import ClientTls
from proxy.tls.context import ServerContext
from proxy.tls.signing_plan import SigningPlan
from proxy.tls.stream import TlsLimits
from proxy.tls.token_key import TokenKey


@dataclass(frozen=True, slots=True)
class Foundation:
    """A configuration, the list that collects what is wrong with it, and the contexts: of the
    building before, and of this one.
    """

    loaded: LoadedConfig
    problems: list[Problem]
    tls_limits: TlsLimits
    linger: Linger
    before: Carried
    closed: ClosedTokens = NONE_CLOSED
    """Left alone."""
    turns: LoginTurns | None = None
    """By which workers log in; None: in a process that is alone."""
    contexts: dict[ContextKey, ServerContext] = field(default_factory=dict)
    client_tls: dict[str, ClientTls] = field(default_factory=dict)
    plans: dict[ContextKey, SigningPlan] = field(default_factory=dict)
    token_keys: dict[tuple[bytes, str], TokenKey] = field(default_factory=dict)
    absent: set[tuple[bytes, str]] = field(default_factory=set)
    """Keys that are not found now and are used once they are, by the digest of the credential and
    the place of the key.
    """

    @classmethod
    def of(
        cls,
        loaded: LoadedConfig,
        before: Carried,
        closed: ClosedTokens = NONE_CLOSED,
        turns: LoginTurns | None = None,
    ) -> "Foundation":
        """Begin with what reading the file has found: with an error among it nothing is built, and
        the rest is judged all the same.
        """
        limits = loaded.config.limits
        return cls(
            loaded,
            [*loaded.faults, *loaded.warnings],
            TlsLimits(limits.key_updates_per_minute),
            Linger(limits.linger_bytes, limits.linger_seconds, limits.write_idle_seconds),
            before,
            closed,
            turns,
        )

    def error(self, location: Location, found: str, allowed: str) -> None:
        """Add an error."""
        self.problems.append(self.loaded.file.error(location, found, allowed))

    def is_faulty(self, *location: str) -> bool:
        """Whether an error inside of a table is known already: what follows from it needs no
        saying.
        """
        inside = self.loaded.file.key(*location) + "."
        return any(problem.is_error and problem.key.startswith(inside) for problem in self.problems)

    def waits_for(self, credential: Credential) -> bool:
        """Whether to begin with a credential although its key is not found in its token.

        One that was issued stops no process from beginning, as nothing but a rotation could mend
        it, which runs afterwards. None stops a process that takes the place of another one: a key
        that was lost meanwhile would take down those who can do without it. But in a process that
        serves, none takes the place of another one before its key is found.
        """
        return self.before.is_nothing and (credential.is_issued or self.before.is_replacement)

    def known_context(self, key: ContextKey) -> ServerContext | None:
        """A context that was made of exactly this."""
        return self.contexts.get(key) or self.before.contexts.get(key)
