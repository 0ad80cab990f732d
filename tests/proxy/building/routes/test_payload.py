"""From a configuration and its keys to the rules of routes."""

import pytest

from config.schema import Config
from proxy.building.routes.payload import PayloadRules, throwaway_keys
from proxy.http.routing import RouteTable
from proxy.limits.request_rates import RequestRate
from proxy.payload.endpoints import KEYS_PATH, SESSIONS_PATH
from proxy.payload.judgement import PayloadRoute, Requirement
from proxy.payload.keys.payload_keys import kem_ring
from proxy.payload.keys.suites import BUILT_IN, info_of
from proxy.payload.messages.causes import PayloadFault
from proxy.payload.messages.channel import MessageEnvelope
from proxy.payload.messages.codec import FreshnessWindow
from proxy.payload.messages.uses import PayloadUses
from proxy.payload.sessions import Agreed
from proxy.tls.openssl.capabilities import Capabilities
from tests.configurations import MINIMAL_LISTENER, Site
from tests.fakes_payload import REST, RINGS
from tests.generations import built, problems
from tests.proxy.payload.keys.test_suite_table import missing

ROUTE = {"host": "chat.test", "upstream": "chat"}


def config(*routes: dict[str, object]) -> Config:
    ring = {"bind": True, "envelope": "plexichat"}
    payload = {"ring": {"chat": ring}, "sessions": {}, "max_age": "7s", "clock_skew": "3s"}
    return Config.model_validate({"payload": payload, "route": [{**ROUTE, **route} for route in routes]})


def rules(of: Config) -> PayloadRules:
    return PayloadRules.of(of, throwaway_keys(of), PayloadUses())


def test_settings_of_a_ring_reach_its_channel() -> None:
    channel = rules(config()).channels["chat"]
    assert (channel.key, channel.is_bound, channel.envelope) == (b"chat", True, MessageEnvelope.PLEXICHAT)
    assert channel.window == FreshnessWindow(7.0, 3.0)
    assert channel.requests is channel.responses


def test_settings_of_a_route_reach_its_rules() -> None:
    origins = {"payload_origins": ["https://a.test", "http://b.test:8080"]}
    of = config(
        {},
        {"path": "/a", "payload": "accept", "payload_ring": "chat"},
        {"path": "/b", "payload": "require", "payload_sessions": True, "payload_websocket": True, **origins},
    )
    made = rules(of)
    plain, ringed, agreed = map(made.route, of.route)
    assert plain is None
    assert isinstance(ringed, PayloadRoute)
    assert (ringed.requirement, ringed.default, ringed.sessions) == (Requirement.ACCEPT, b"chat", None)
    assert ringed.rings == {b"chat": made.channels["chat"]}
    assert not ringed.takes_websockets
    assert isinstance(agreed, PayloadRoute)
    assert (agreed.requirement, agreed.default, agreed.rings) == (Requirement.REQUIRE, None, {})
    assert agreed.sessions is made.sessions
    assert agreed.takes_websockets
    assert agreed.origins == {b"https://a.test", b"http://b.test:8080"}
    assert not ringed.origins


@pytest.mark.parametrize(("refuses", "seconds"), [(False, None), (True, 90.0)])
def test_replays_are_remembered_as_long_as_a_message_is_valid(refuses: bool, seconds: float | None) -> None:  # noqa: FBT001 - parametrized
    payload = {"ring": {"chat": {}}, "refuse_replays": refuses}
    route = {**ROUTE, "payload": "require", "payload_ring": "chat"}
    of = Config.model_validate({"payload": payload, "route": [route]})
    made = rules(of).route(of.route[0])
    assert made is not None
    assert made.replay_seconds == seconds


def test_hosts_with_sessions_have_the_endpoints_unless_a_route_takes_them() -> None:
    of = config({"payload": "require", "payload_sessions": True}, {"path": KEYS_PATH}, {"host": "other.test"})
    (endpoint,) = rules(of).endpoints(of)
    assert (endpoint.host, endpoint.path) == ("chat.test", "/.well-known/payload-sessions")
    assert endpoint.payload.endpoint is not None
    without = Config.model_validate({"route": [ROUTE]})
    assert list(rules(without).endpoints(without)) == []


def test_sessions_have_a_rate_that_all_hosts_share() -> None:
    sessions = {"rate": {"requests_per_second": 0.5, "burst": 7, "per": "client"}}
    route = {**ROUTE, "payload": "require", "payload_sessions": True}
    routes = [route, {**route, "host": "other.test"}]
    of = Config.model_validate({"payload": {"sessions": sessions}, "route": routes})
    rates = {(one.host, one.path): one.payload.rate for one in rules(of).endpoints(of)}
    assert rates == {
        (host, path): RequestRate.of(path, 0.5, 7, is_per_client=True)
        for host in ("chat.test", "other.test")
        for path in (KEYS_PATH, SESSIONS_PATH)
    }


def test_generation_has_them_and_counts_in_the_same_place_as_before(site: Site, capabilities: Capabilities) -> None:
    text = MINIMAL_LISTENER + site.identity + RINGS.format(directory="unused") + REST
    generation = built(site, capabilities, text)
    assert isinstance(generation.routes, RouteTable)
    found = generation.routes.match(b"chat.test", KEYS_PATH.encode())
    assert found is not None
    assert found.payload.endpoint is not None
    assert generation.carried.payload_uses is generation.payload_uses
    assert not (site.directory / "unused").exists()


@pytest.mark.parametrize("suite", ["X25519-FrodoKEM976"])
def test_suite_that_is_not_here_is_a_problem(
    site: Site, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch, suite: str
) -> None:
    missing(monkeypatch)
    rings = RINGS.format(directory="unused") + f'suites = ["{suite}"]\n'
    text = MINIMAL_LISTENER + site.identity + rings + REST
    assert "payload.sessions.suites[0]" in problems(site, capabilities, text)


def test_what_the_process_knows_to_be_revoked_ends_sessions() -> None:
    of, uses = config(), PayloadUses()
    keys = throwaway_keys(of)
    sessions = PayloadRules.of(of, keys, uses).sessions
    assert sessions is not None
    name = "MLKEM768-X25519"
    suite = BUILT_IN[name]
    message, _ = suite.seal(suite.public(keys.rings[kem_ring(name)].active.secret), info_of(name, 1))
    agreed = sessions.establish(name, 1, message, 5.0)
    assert isinstance(agreed, Agreed)
    ticket = agreed.ticket
    assert sessions.channel(ticket, 5.0).is_session
    uses.revoked.add((kem_ring(name), 1))
    with pytest.raises(PayloadFault):
        sessions.channel(ticket, 5.0)
