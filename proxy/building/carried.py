"""What one generation hands to the next: examined credentials, and contexts that were built.

A context costs 0.13 ms and 28 KB for a key in a file, and more for a key in a token. So the next
generation uses the same context if its content did not change. The other contexts are dropped with
their generation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from certs.identities.credential import Credential
from proxy.payload.messages.uses import PayloadUses
from proxy.tls.openssl.client_tls import ClientTls
from proxy.tls.openssl.client_trust import ClientTrust
from proxy.tls.openssl.context import ServerContext, TlsSettings
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.tokens.signing_plan import SigningPlan
from proxy.tls.tokens.token_key import TokenKey

ClientTrusts = Mapping[tuple[str, bool], ClientTrust]
"""By the name of the identity, and whether the level of the listener binds signatures."""


@dataclass(frozen=True, slots=True)
class ContextKey:
    """Everything that a server context is made of."""

    identity: str
    digests: tuple[bytes, ...]
    signature_algorithms: str
    settings: TlsSettings
    tickets: TicketSecrets
    spread: tuple[bool, ...] = ()
    """For each credential: whether its keys in several tokens are used in turn."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The parts of a generation that the next one may use again."""

    credentials: Mapping[bytes, Credential] = field(default_factory=dict)
    contexts: Mapping[ContextKey, ServerContext] = field(default_factory=dict)
    client_tls: Mapping[str, ClientTls] = field(default_factory=dict)
    """TLS settings by the name of the upstream."""
    plans: Mapping[ContextKey, SigningPlan] = field(default_factory=dict)
    """The plans of identities with a key in a token."""
    token_keys: Mapping[tuple[bytes, str], TokenKey] = field(default_factory=dict)
    """The keys of tokens that were loaded, by the digest of the credential and the key's place."""
    payload_uses: PayloadUses | None = None
    """The counts of messages under payload keys. None before the first generation."""
    judged_at: datetime | None = None
    """When the files of the generation were read.

    A reload reads the files again and changes this time. A change of secrets does not.
    """

    is_replacement: bool = False
    """Whether this process replaces another one that has served, and has no generation yet."""
    clients: ClientTrusts = field(default_factory=dict)
    """What identities demand of their clients."""

    @property
    def is_nothing(self) -> bool:
        """Whether there was no generation before: the process has just begun."""
        return self.payload_uses is None
