"""The shape of `[payload]`: rings and sessions that encrypt the bodies of routes. Pure."""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from config.tables.limits import RateConfig, RatePer
from config.values.addresses import Refused
from config.values.durations import Hours, Seconds, time_field
from config.values.kinds import Name, Table, WrittenPath

# RFC 6454 6.2, as browsers write it: scheme, host, and the port unless the scheme implies it.
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?")
_IMPLIED_PORTS = {"http": "80", "https": "443"}
_LARGEST_PORT = 65_535


def _parse_origin(value: str) -> str:
    found = _ORIGIN.fullmatch(value)
    if found is None or found[2] == _IMPLIED_PORTS.get(found[1], "") or int(found[2] or 0) > _LARGEST_PORT:
        raise Refused(
            'an origin as browsers send it, such as "https://app.example.org" or "http://localhost:3000": in lower case, '
            "without path, and without the port that its scheme implies"
        )
    return value


Origin = Annotated[str, AfterValidator(_parse_origin)]


class PayloadMode(StrEnum):
    """`payload` of a route."""

    OFF = "off"
    ACCEPT = "accept"
    """A client that encrypts gets an encrypted answer; others are served as usual."""
    REQUIRE = "require"


class PayloadEnvelope(StrEnum):
    """What stands before a message in a single token."""

    NONE = "none"
    PLEXICHAT = "plexichat"


class SessionSuite(StrEnum):
    """How the secret of a session is agreed."""

    MLKEM768_X25519 = "MLKEM768-X25519"
    MLKEM1024_P384 = "MLKEM1024-P384"
    RSA4096_MLKEM1024 = "RSA4096-MLKEM1024"
    # with liboqs
    X25519_FRODOKEM976 = "X25519-FrodoKEM976"
    X25519_HQC256 = "X25519-HQC256"
    X25519_MCELIECE460896 = "X25519-ClassicMcEliece460896"


def _parse_suites(suites: tuple[SessionSuite, ...]) -> tuple[SessionSuite, ...]:
    if len(set(suites)) < len(suites):
        raise Refused("each suite once")
    return suites


class RingConfig(Table):
    """`[payload.ring.NAME]`: a ring of keys that clients are handed out of band.

    It rotates after `rotate_after`, or after `quota` tokens of the proxy but not before a 24th of
    that time; `overlap` keys before the newest stay valid. `bind`: single tokens are bound to
    method, host and path as streams are.
    """

    rotate_hours: Hours = time_field("rotate_after", 24.0, least=0.01, most=87_600.0)
    quota: int = Field(default=10_000, ge=1, le=1_000_000_000, strict=True)
    overlap: int = Field(default=3, ge=1, le=100, strict=True)
    bind: bool = Field(default=False, strict=True)
    envelope: PayloadEnvelope = PayloadEnvelope.NONE


class SessionsConfig(Table):
    """`[payload.sessions]`: clients agree on keys by themselves; `lifetime` is that of a
    ticket.

    `rate`: how many may ask for one, over all hosts. Each costs 0.2 to 3 ms of computation, for any
    client. `liboqs_rate`: how many of them may use a suite of liboqs, which takes up to 24 ms of a
    thread.
    """

    suites: Annotated[tuple[SessionSuite, ...], Field(min_length=1), AfterValidator(_parse_suites)] = (
        SessionSuite.MLKEM768_X25519,
    )
    rotate_hours: Hours = time_field("rotate_after", 24.0, least=0.01, most=8_760.0)
    lifetime_hours: Hours = time_field("lifetime", 12.0, least=0.01, most=720.0)
    rate: RateConfig = RateConfig(requests_per_second=20.0, burst=200, per=RatePer.CLIENT)
    liboqs_rate: RateConfig = RateConfig(requests_per_second=2.0, burst=20, per=RatePer.CLIENT)

    @model_validator(mode="after")
    def _rates_are_of_this_node(self) -> Self:
        for key, rate in (("rate", self.rate), ("liboqs_rate", self.liboqs_rate)):
            if rate.per is RatePer.FLEET:
                raise Refused('per = "client" or "route": sessions are of one node', found='"fleet"', about=(key,))
        return self


class PayloadConfig(Table):
    """`[payload]`: `directory` holds the rings (None: `payload` in the directory of `[sealing]`).

    The key of `[sealing]` seals them, or one that is made in the same directory.

    A token may be `max_age` old, and `clock_skew` ahead of our clock; with
    `refuse_replays` it is taken once within that time.
    """

    directory: WrittenPath | None = None
    max_age_seconds: Seconds = time_field("max_age", 60.0, least=1.0, most=86_400.0)
    skew_seconds: Seconds = time_field("clock_skew", 30.0, least=0.0, most=3_600.0)
    refuse_replays: bool = Field(default=False, strict=True)
    ring: dict[Name, RingConfig] = Field(default_factory=dict)
    sessions: SessionsConfig | None = None
