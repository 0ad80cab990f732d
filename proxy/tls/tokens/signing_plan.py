"""How an identity signs that has a key in a token. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import ssl

    from proxy.tls.tokens.token_key import KeyContext


@dataclass(frozen=True, slots=True)
class TokenCredential:
    """Keys of one algorithm that replace each other when a token fails: replicas, each with its own
    certificate, or copies of one key.
    """

    keys: "tuple[KeyContext, ...]"
    """In the order of preference."""
    is_spread: bool = False
    """Whether they are used in turn."""
    _turns: Iterator[int] = field(default_factory=count, repr=False)

    def turn(self) -> int | None:
        """Which key is first this time, for `candidates`; None: always the preferred one."""
        return next(self._turns) if self.is_spread else None


Signer: TypeAlias = "TokenCredential | ssl.SSLContext"
"""The signer: keys in tokens, or a context whose key is in a file."""


@dataclass(frozen=True, slots=True)
class SigningPlan:
    """Who signs for which clients: `ranked` schemes, most preferred first."""

    ranked: Sequence[tuple[int, Signer]]

    def signers_for(self, schemes: Sequence[int]) -> list[Signer]:
        """The signers for a client with these schemes, the most preferred first, each once."""
        able: list[Signer] = []
        for scheme, signer in self.ranked:
            if scheme in schemes and signer not in able:
                able.append(signer)
        return able
