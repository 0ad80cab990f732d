"""How a worker logs in to the token of a key: in turn, and never by a refused PIN."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from proxy.signing.login_turns import LoginTurns
from proxy.signing.token import TokenPinRefused
from proxy.tls.tokens.module_instances import ModuleInstances
from proxy.tls.tokens.present_tokens import refuses_pin
from proxy.tls.tokens.token_key import TokenKey


class Login(Protocol):
    """How to log in to the token of a key."""

    def is_refused(self, key: TokenKey) -> bool:
        """Ask the token whether it refuses every login by the PIN of a key that did not load."""

    def turn(self, key: TokenKey) -> AbstractContextManager[None]:
        """Load within the block; raises `TokenPinRefused` if others know of a refused PIN."""


@dataclass(frozen=True, slots=True)
class TokenLogin:
    """Logins to the tokens of one PKCS#11 module that OpenSSL has loaded (`Login`)."""

    instances: ModuleInstances
    turns: LoginTurns | None
    """It is None in a process that has no other beside it."""

    def is_refused(self, key: TokenKey) -> bool:
        """Whether the token refuses every login by the PIN of a key; asks the token."""
        return refuses_pin(self.instances.of(key.token).module, key.key.uri, self.instances.silent_slots)

    @contextmanager
    def turn(self, key: TokenKey) -> Iterator[None]:
        """Load a key within the block; raises `TokenPinRefused` if its PIN was or is refused.

        The block logs in if this process is not logged in. A worker that is takes a turn too: to
        find that out, it would have to ask the module about all of its tokens, and one may hang.
        """
        if self.turns is None:
            yield
            return
        with self.turns.turn(key.token):
            try:
                yield
            except OSError:
                if not self.is_refused(key):
                    raise
                self.turns.forbid(key.token)
                raise TokenPinRefused from None
