"""What standards are judged by: the configuration, the running proxy, and its OpenSSL. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from config.listener import SecurityLevel
from config.schema import Config
from proxy.tls.groups import KNOWN, NamedGroup, classify
from proxy.tls.policy import PolicyError, cipher_suites, group_preference

FIPS: Final = "fips"
"""The name of OpenSSL's FIPS provider."""
RUNNING: Final = "GET /status of the running proxy"
_CHACHA20: Final = "TLS_CHACHA20_POLY1305_SHA256"
_NO_CODE_POINT: Final = -1


@dataclass(frozen=True, slots=True)
class ListenerView:
    """What one listener with TLS offers. `groups` are in tuples, the most preferred tuple first.

    `level` and `suites` are None if only the running proxy was asked: it does not tell them.
    """

    name: str
    pq: str
    groups: tuple[tuple[NamedGroup, ...], ...]
    level: SecurityLevel | None
    suites: tuple[str, ...] | None
    has_weaker_signatures: bool = False

    @property
    def all_groups(self) -> tuple[NamedGroup, ...]:
        """In the order of preference."""
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
        """For how long it is valid."""
        return (self.expires_at - self.begins_at) / 86_400

    def __str__(self) -> str:
        """Identity and algorithm."""
        return f"{self.identity} ({self.algorithm})"


@dataclass(frozen=True, slots=True)
class PayloadKeyView:
    """A key of payload encryption that is not at its end; `created` in UNIX seconds."""

    ring: str
    version: int
    state: str
    created: float


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A provider that is loaded, and the groups of TLS that it computes."""

    name: str
    version: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpensslView:
    """OpenSSL, and the configured providers: which it has loaded, and which are missing."""

    version: str
    providers: tuple[str, ...]
    missing_providers: tuple[str, ...]
    loaded: tuple[ProviderView, ...] = ()

    def computing(self, groups: Iterable[str]) -> str:
        """What computes each of these groups, in words."""
        wanted = {name.lower() for name in groups}
        found = []
        for one in self.loaded:
            who = f"OpenSSL {self.version}" if one.name == "default" else f"the provider {one.name} {one.version}"
            if own := [name for name in one.groups if name.lower() in wanted]:
                found.append(f"{who} ({', '.join(own)})")
        return " and ".join(found) or f"OpenSSL {self.version}"


@dataclass(frozen=True, slots=True)
class StandardFacts:
    """All that could be found. A part is None where it could not.

    `status` is the answer to `GET /status`, `payload` that to `GET /payload`. `digest` is SHA-256
    of the file as it is on disk. `now` is in UNIX seconds.
    """

    config: Config | None
    status: Mapping[str, Any] | None
    payload: Mapping[str, Any] | None
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
        """The place that `listeners` are from."""
        return RUNNING if self.status is not None else "[listener.NAME] of the configuration"

    def _running_listeners(self, status: Mapping[str, Any]) -> Iterator[ListenerView]:
        for one in status["listeners"]:
            if one["groups"]:
                tuples = tuple(
                    tuple(_group(name) for name in part.split(":"))
                    for part in one["groups"].replace(" ", "").split("/")
                )
                yield self._view(one["name"], one["pq"], tuples)

    def _configured_listeners(self) -> Iterator[ListenerView]:
        for name, one in () if self.config is None else self.config.listener.items():
            try:
                tuples = group_preference(one.level, one.pq, one.groups, KNOWN).tuples
            except PolicyError:  # a group of a provider: only the running proxy has it
                continue
            yield self._view(name, str(one.pq), tuples)

    def _view(self, name: str, pq: str, groups: tuple[tuple[NamedGroup, ...], ...]) -> ListenerView:
        settings = None if self.config is None else self.config.listener.get(name)
        if settings is None:
            return ListenerView(name, pq, groups, None, None)
        suites = cipher_suites(settings.level).split(":")
        # the FIPS provider has no ChaCha20, so OpenSSL leaves it out
        offered = tuple(one for one in suites if one != _CHACHA20 or not self.has_fips)
        return ListenerView(name, pq, groups, settings.level, offered, settings.weaker_signatures)

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

    def payload_keys(self) -> tuple[PayloadKeyView, ...]:
        """Those that encrypt or decrypt."""
        if self.payload is None:
            return ()
        return tuple(
            PayloadKeyView(ring["name"], key["version"], key["state"], key["created"])
            for ring in self.payload["rings"]
            for key in ring["keys"]
            if key["ended"] is None
        )


def _group(name: str) -> NamedGroup:
    return KNOWN.get(name.lower()) or classify(name, _NO_CODE_POINT)
