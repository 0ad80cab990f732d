"""What standards are judged by: the configuration, the running proxy, and its OpenSSL. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from config.schema import Config, IssuedCredential
from proxy.api.commands import RingsDocument
from proxy.api.status import StatusDocument
from proxy.tls.handshake.group_choice import PolicyError, cipher_suites, group_preference
from proxy.tls.wire.groups import KNOWN, NamedGroup, tuples_in

FIPS: Final = "fips"
"""The name of OpenSSL's FIPS provider."""
RUNNING: Final = "GET /status of the running proxy"
_CHACHA20: Final = "TLS_CHACHA20_POLY1305_SHA256"


@dataclass(frozen=True, slots=True)
class ListenerView:
    """What one listener with TLS offers. `groups` are in tuples, the most preferred tuple first.

    `suites` is None if only the running proxy was asked: it does not tell them.
    """

    name: str
    groups: tuple[tuple[NamedGroup, ...], ...]
    suites: tuple[str, ...] | None

    @property
    def all_groups(self) -> tuple[NamedGroup, ...]:
        return tuple(group for one in self.groups for group in one)


@dataclass(frozen=True, slots=True)
class CertificateView:
    """A certificate in use: `algorithm` as `ecdsa-p256`, `rsa-3072`, `ed25519`, `mldsa-87`.

    Times are in UNIX seconds. `signatures` are those of its chain, leaf first; empty if the running
    proxy does not tell them.
    """

    identity: str
    algorithm: str
    begins_at: float
    expires_at: float
    signatures: tuple[str, ...] = ()

    @property
    def days(self) -> float:
        return (self.expires_at - self.begins_at) / 86_400

    def __str__(self) -> str:
        return f"{self.identity} ({self.algorithm})"


@dataclass(frozen=True, slots=True)
class PayloadKeyView:
    """A key of payload encryption that is not at its end; `created` in UNIX seconds."""

    ring: str
    version: int
    state: str
    created: float


@dataclass(frozen=True, slots=True)
class OpensslView:
    """The configured providers of OpenSSL: which it has loaded, and which are missing."""

    providers: tuple[str, ...]
    missing_providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StandardFacts:
    """All that could be found. A part is None where it could not.

    `status` is the answer to `GET /status`, `payload` that to `GET /payload`. `digest` is SHA-256
    of the file as it is on disk. `now` is in UNIX seconds.
    """

    config: Config | None
    status: StatusDocument | None
    payload: RingsDocument | None
    openssl: OpensslView | None
    digest: str | None
    now: float

    @property
    def has_fips(self) -> bool | None:
        """Whether the FIPS provider does the cryptography of TLS. None if it is not known."""
        return None if self.openssl is None else FIPS in self.openssl.providers

    def listeners(self) -> tuple[ListenerView, ...]:
        """Those with TLS. What the running proxy offers counts more than the file."""
        if self.status is not None:
            return tuple(self._running_listeners(self.status))
        return tuple(self._configured_listeners())

    def where_listeners(self) -> str:
        return RUNNING if self.status is not None else "[listener.NAME] of the configuration"

    def _running_listeners(self, status: StatusDocument) -> Iterator[ListenerView]:
        for one in status["listeners"]:
            if one["groups"]:
                yield self._view(one["name"], tuples_in(one["groups"]))

    def _configured_listeners(self) -> Iterator[ListenerView]:
        for name, one in () if self.config is None else self.config.listener.items():
            try:
                tuples = group_preference(one.level, one.pq, one.groups, KNOWN).tuples
            except PolicyError:  # a group of a provider: only the running proxy has it
                continue
            yield self._view(name, tuples)

    def _view(self, name: str, groups: tuple[tuple[NamedGroup, ...], ...]) -> ListenerView:
        settings = None if self.config is None else self.config.listener.get(name)
        if settings is None:
            return ListenerView(name, groups, None)
        suites = cipher_suites(settings.level).split(":")
        # the FIPS provider has no ChaCha20, so OpenSSL leaves it out
        offered = tuple(one for one in suites if one != _CHACHA20 or not self.has_fips)
        return ListenerView(name, groups, offered)

    def certificates(self) -> tuple[CertificateView, ...] | None:
        """Those that serve. None without a running proxy."""
        if self.status is None:
            return None
        return tuple(
            CertificateView(
                one["identity"],
                one["algorithm"],
                one["begins_at"],
                one["expires_at"],
                tuple(one.get("signatures", ())),  # a proxy before an upgrade has none
            )
            for one in self.status["certificates"]
        )

    def renewed(self) -> frozenset[str]:
        """The identities whose keys and certificates the proxy itself renews."""
        identities = {} if self.config is None else self.config.identity
        issued = {
            name: [isinstance(key, IssuedCredential) for key in one.credentials] for name, one in identities.items()
        }
        return frozenset(name for name, keys in issued.items() if all(keys))

    def payload_keys(self) -> tuple[PayloadKeyView, ...]:
        if self.payload is None:
            return ()
        return tuple(
            PayloadKeyView(ring["name"], key["version"], key["state"], key["created"])
            for ring in self.payload["rings"]
            for key in ring["keys"]
            if key["ended"] is None
        )
