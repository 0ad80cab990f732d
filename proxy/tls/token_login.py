"""How a worker logs in to the token of a key: in turn with the others, and not again with a PIN
that was refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from proxy.signing.login_turns import LoginTurns
from proxy.signing.token import TokenPinRefused
from proxy.tls.module_instances import ModuleInstances
from proxy.tls.token_key import TokenKey
from proxy.tls.tokens import refuses_pin


@dataclass(frozen=True, slots=True)
class TokenLogin:
    """Of the tokens of one PKCS#11 module, which OpenSSL has loaded (`tls.probe.Login`)."""

    instances: ModuleInstances
    turns: LoginTurns | None
    """None: for a process that is alone."""

    def is_refused(self, key: TokenKey) -> bool:
        """Whether the token refuses every login by the PIN of a key; asks the token."""
        return refuses_pin(self.instances.of(key.token).module, key.key.uri)

    @contextmanager
    def turn(self, key: TokenKey) -> Iterator[None]:
        """Load a key within the block, which logs in where this process is not; raises
        `TokenPinRefused` instead if that is known, or happens.

        A worker that is logged in already takes a turn too: the module would have to be asked about
        all of its tokens, and one may hang.
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
