"""Build the parts of payload encryption: the rules of each route, and the endpoints of sessions."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from config.limits import RateConfig
from config.payload import PayloadMode
from config.schema import Config, RatePer, RouteConfig
from proxy.downstream.admission import RouteTarget
from proxy.downstream.endpoint import Endpoint
from proxy.http.local_answers import LocalAnswer, LocalRequest
from proxy.http.routing import Route
from proxy.limits.requests import RequestRate
from proxy.payload.channel import MessageCipher, MessageEnvelope
from proxy.payload.codec import FreshnessWindow, RingCodec
from proxy.payload.endpoints import (
    FOR_EVERY_ORIGIN,
    KEYS_PATH,
    REQUEST_BYTES,
    SESSIONS_PATH,
    SlowAnswer,
    key_endpoint,
    session_endpoint,
)
from proxy.payload.judgement import PayloadRoute, Requirement
from proxy.payload.keys import TICKETS, PayloadKeys, completed, kem_ring
from proxy.payload.sessions import Sessions
from proxy.payload.suite_table import SuiteRings, suite
from proxy.payload.uses import PayloadUses


@dataclass(frozen=True, slots=True)
class PayloadRules:
    """The configuration of payload encryption, with the present keys."""

    channels: Mapping[str, MessageCipher]
    sessions: Sessions | None
    document: bytes
    replay_seconds: float | None

    @classmethod
    def of(cls, config: Config, keys: PayloadKeys, uses: PayloadUses) -> "PayloadRules":
        """`keys` has every ring that the configuration needs."""
        count = uses.count
        payload = config.payload
        window = FreshnessWindow(payload.max_age_seconds, payload.skew_seconds)
        channels = {}
        for name, ring in payload.ring.items():
            codec = RingCodec(keys.rings[name], count, uses.revoked)
            envelope = MessageEnvelope(ring.envelope.value)
            channels[name] = MessageCipher(name.encode(), codec, codec, ring.bind, envelope, window)
        sessions = None
        if payload.sessions is not None:
            kems = {name.value: (suite(name), keys.rings[kem_ring(name)]) for name in payload.sessions.suites}
            lifetime = payload.sessions.lifetime_hours * 3_600
            sessions = Sessions(keys.rings[TICKETS], kems, lifetime, window, count, uses.revoked)
        replay_seconds = payload.max_age_seconds + payload.skew_seconds if payload.refuse_replays else None
        return cls(channels, sessions, keys.document, replay_seconds)

    def route(self, route: RouteConfig) -> PayloadRoute | None:
        """The rules of one route. None if the proxy does not encrypt bodies there."""
        if route.payload is PayloadMode.OFF:
            return None
        requirement = Requirement.REQUIRE if route.payload is PayloadMode.REQUIRE else Requirement.ACCEPT
        ring = route.payload_ring
        rings = {} if ring is None else {ring.encode(): self.channels[ring]}
        default = None if ring is None else ring.encode()
        sessions = self.sessions if route.payload_sessions else None
        origins = frozenset(map(str.encode, route.payload_origins))
        websockets, replay_seconds = route.payload_websocket, self.replay_seconds
        return PayloadRoute(requirement, rings, default, sessions, websockets, replay_seconds, origins)

    def endpoints(self, config: Config) -> Iterator[Route[RouteTarget]]:
        """The routes of sessions, on each host that has them.

        A configured route with the same host and path takes precedence.
        """
        if self.sessions is None or config.payload.sessions is None:
            return
        taken = {(route.host, route.path) for route in config.route}
        hosts = {route.host for route in config.route if route.payload_sessions}
        answers = (
            (
                KEYS_PATH,
                _for_every_origin(key_endpoint(self.document)),
                _rate(KEYS_PATH, config.payload.sessions.rate),
            ),
            (
                SESSIONS_PATH,
                _for_every_origin(
                    session_endpoint(
                        self.sessions, _rate(f"{SESSIONS_PATH} liboqs", config.payload.sessions.liboqs_rate)
                    )
                ),
                _rate(SESSIONS_PATH, config.payload.sessions.rate),
            ),
        )
        for host in sorted(hosts):
            for path, endpoint, rate in answers:
                if (host, path) not in taken:
                    yield Route(host, path, _endpoint(f"{host}{path}", endpoint, rate))


def _rate(name: str, rate: RateConfig) -> RequestRate:
    """One rate for all hosts together: it limits the processor time that a client can use."""
    return RequestRate.of(name, rate.requests_per_second, rate.burst, is_per_client=rate.per is RatePer.CLIENT)


def _for_every_origin(answer: Callable[[LocalRequest, float], LocalAnswer | SlowAnswer]) -> Endpoint:
    return Endpoint(answer, takes_body=True, mark=FOR_EVERY_ORIGIN)


def _endpoint(label: str, endpoint: Endpoint, rate: RequestRate) -> RouteTarget:
    return RouteTarget(label, "", requires_pq=False, body_bytes=REQUEST_BYTES, rate=rate, endpoint=endpoint)


def throwaway_keys(config: Config) -> PayloadKeys:
    """Keys for judging a configuration. They are not kept."""
    return PayloadKeys(completed(config, {}, SuiteRings(), 0.0))
