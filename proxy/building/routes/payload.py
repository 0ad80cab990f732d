"""Build the parts of payload encryption: the rules of each route, and the endpoints of sessions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.schema import Config, RouteConfig
from config.tables.payload import PayloadMode
from proxy.building.request_limits import request_rate
from proxy.downstream.requests.endpoint import Endpoint
from proxy.downstream.requests.targets import RouteTarget
from proxy.http.routing import Route
from proxy.payload.endpoints import (
    FOR_EVERY_ORIGIN,
    KEYS_PATH,
    REQUEST_BYTES,
    SESSIONS_PATH,
    key_endpoint,
    session_endpoint,
)
from proxy.payload.judgement import PayloadRoute, Requirement
from proxy.payload.keys.payload_keys import TICKETS, PayloadKeys, kem_ring
from proxy.payload.keys.suite_table import completed, suite
from proxy.payload.messages.channel import MessageCipher, MessageEnvelope
from proxy.payload.messages.codec import FreshnessWindow, RingCodec
from proxy.payload.messages.uses import PayloadUses
from proxy.payload.sessions import Sessions


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
        websockets = route.payload_websocket
        replay_seconds = self.replay_seconds
        return PayloadRoute(requirement, rings, default, sessions, websockets, replay_seconds, origins)

    def endpoints(self, config: Config) -> Iterator[Route[RouteTarget]]:
        """The routes of sessions, on each host that has them.

        A configured route with the same host and path takes precedence.
        """
        if self.sessions is None or config.payload.sessions is None:
            return
        taken = {(route.host, route.path) for route in config.route}
        hosts = {route.host for route in config.route if route.payload_sessions}
        settings = config.payload.sessions
        liboqs_rate = request_rate(f"{SESSIONS_PATH} liboqs", settings.liboqs_rate)
        endpoints = {
            KEYS_PATH: Endpoint(key_endpoint(self.document), takes_body=True, mark=FOR_EVERY_ORIGIN),
            SESSIONS_PATH: Endpoint(
                session_endpoint(self.sessions, liboqs_rate), takes_body=True, mark=FOR_EVERY_ORIGIN
            ),
        }
        for path, endpoint in endpoints.items():
            # one rate for all hosts together: it limits the processor time that a client can use
            rate = request_rate(path, settings.rate)
            for host in sorted(hosts):
                if (host, path) not in taken:
                    label = f"{host}{path}"
                    target = RouteTarget(
                        label, "", requires_pq=False, body_bytes=REQUEST_BYTES, rate=rate, endpoint=endpoint
                    )
                    yield Route(host, path, target)


def throwaway_keys(config: Config) -> PayloadKeys:
    """Keys for judging a configuration. They are not kept."""
    return PayloadKeys(completed(config, {}, 0.0))
