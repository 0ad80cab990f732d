"""What a change means for what is established."""

from typing import Any

import pytest

from config.diff import Change, EffectKind, diff
from config.effects import Difference, effect_of
from config.schema import Config

IDENTITY: dict[str, Any] = {"names": ["a.test", "b.test"], "certificate": "chat.pem", "key": "chat.key"}
ROUTE = {"host": "a.test", "upstream": "chat"}
UPSTREAM: dict[str, Any] = {"servers": ["http://127.0.0.1:1", "http://127.0.0.1:2"]}


def document(**tables: Any) -> dict[str, Any]:
    return {
        "listener": {"public": {"bind": "127.0.0.1:443"}},
        "identity": {"chat": IDENTITY},
        "upstream": {"chat": UPSTREAM},
        "route": [ROUTE],
        **tables,
    }


def only(old: dict[str, Any], new: dict[str, Any]) -> Change:
    (change,) = diff(Config.model_validate(old), Config.model_validate(new))
    return change


def listener(**settings: object) -> dict[str, Any]:
    return document(listener={"public": {"bind": "127.0.0.1:443", **settings}})


POLICIES = ["off", "prefer", "report", "require"]


@pytest.mark.parametrize("old", POLICIES)
@pytest.mark.parametrize("new", POLICIES)
def test_only_a_policy_that_newly_requires_ends_classical_connections(old: str, new: str) -> None:
    if old != new:
        change = only(listener(pq=old), listener(pq=new))
        assert change.kind is (EffectKind.DRAINED if new == "require" else EffectKind.LIVE)
        assert ("classical connections get a close frame (1012)" in change.effect) is (new == "require")


def test_a_policy_that_the_level_had_required_already_ends_nothing() -> None:
    assert only(listener(level="critical"), listener(level="critical", pq="require")).kind is EffectKind.LIVE
    changes = diff(
        Config.model_validate(listener(level="critical")), Config.model_validate(listener(level="high", pq="require"))
    )
    assert [change.kind for change in changes] == [EffectKind.LIVE, EffectKind.LIVE]


LEVELS = ["standard", "high", "critical", "quantum-safe"]


@pytest.mark.parametrize("old", LEVELS)
@pytest.mark.parametrize("new", LEVELS)
def test_a_stricter_level_ends_what_it_does_not_allow(old: str, new: str) -> None:
    if old != new:
        is_stricter = LEVELS.index(new) > LEVELS.index(old)
        change = only(listener(level=old), listener(level=new))
        assert change.kind is (EffectKind.DRAINED if is_stricter else EffectKind.LIVE)


@pytest.mark.parametrize("table", ["listener", "identity"])
def test_what_is_removed_is_drained_and_what_is_added_is_live(table: str) -> None:
    both = document()
    both[table] = {
        **both[table],
        "second": {"bind": "127.0.0.1:1"} if table == "listener" else {**IDENTITY, "names": ["c"]},
    }
    assert only(document(), both).kind is EffectKind.LIVE
    assert only(both, document()).kind is EffectKind.DRAINED


def test_a_removed_name_ends_its_connections_and_a_new_one_none() -> None:
    fewer = document(identity={"chat": {**IDENTITY, "names": ["a.test"]}})
    assert only(document(), fewer).kind is EffectKind.DRAINED
    assert only(fewer, document()).kind is EffectKind.LIVE


def test_a_version_of_http_that_goes_ends_its_connections_and_a_new_one_none() -> None:
    both, one, other = (listener(http=http) for http in (["h2", "http/1.1"], ["http/1.1"], ["h2"]))
    assert only(both, one).kind is EffectKind.DRAINED
    assert only(one, both).kind is EffectKind.LIVE
    assert only(both, listener(http=["http/1.1", "h2"])).kind is EffectKind.LIVE
    assert only(other, one).kind is EffectKind.DRAINED


def test_http3_that_goes_ends_its_connections_and_a_new_one_none() -> None:
    assert only(listener(http3=True), listener()).kind is EffectKind.DRAINED
    assert only(listener(), listener(http3=True)).kind is EffectKind.LIVE


def test_routes() -> None:
    assert only(document(), document(route=[])).kind is EffectKind.DRAINED
    assert only(document(route=[]), document()).kind is EffectKind.LIVE
    strict = document(route=[{**ROUTE, "pq": "require"}])
    assert only(document(), strict).kind is EffectKind.DRAINED
    assert only(strict, document()).kind is EffectKind.LIVE
    assert only(document(), document(route=[{**ROUTE, "upstream": "other"}])).kind is EffectKind.LIVE


def test_upstreams_end_nothing_that_is_under_way() -> None:
    fewer = document(upstream={"chat": {"servers": ["http://127.0.0.1:1"]}})
    change = only(document(), fewer)
    assert (change.kind, "a server that is gone" in change.effect) == (EffectKind.LIVE, True)
    change = only(fewer, document())
    assert (change.kind, "a server that is gone" in change.effect) == (EffectKind.LIVE, False)
    assert only(document(), document(upstream={})).kind is EffectKind.LIVE
    change = only(document(), document(upstream={"chat": {**UPSTREAM, "waiting": 1}}))
    assert (change.kind, "for new connections to its servers" in change.effect) == (EffectKind.LIVE, True)


@pytest.mark.parametrize(("old", "new", "is_gone"), [(None, "server", False), ("server", None, True)])
def test_servers_that_are_tables_of_their_own(old: object, new: object, is_gone: bool) -> None:  # noqa: FBT001
    difference = Difference(("upstream", "chat", "servers", "http://a"), old, new)
    effect = effect_of(difference, Config(), Config())
    assert (effect.kind, "a server that is gone" in effect.text) == (EffectKind.LIVE, is_gone)


@pytest.mark.parametrize("openssl", [{"providers": ["oqsprovider"]}, {"module_path": "modules"}])
def test_openssl_needs_a_restart(openssl: dict[str, Any]) -> None:
    assert only(document(), document(openssl=openssl)).kind is EffectKind.RESTART


@pytest.mark.parametrize(
    "place",
    [("user",), ("group",), ("admin",), ("admin", "socket"), ("admin", "x", "y"), ("limits", "log_queue_lines")],
)
def test_what_is_done_once_needs_a_restart(place: tuple[str, ...]) -> None:
    assert effect_of(Difference(place, "a", "b"), Config(), Config()).kind is EffectKind.RESTART


@pytest.mark.parametrize("place", [("plain", "bind"), ("plain", "https_port")])
def test_listener_without_tls_changes_live(place: tuple[str, ...]) -> None:
    effect = effect_of(Difference(place, "a", "b"), Config(), Config())
    assert effect.kind is EffectKind.LIVE
    assert "new connections" not in effect.text


@pytest.mark.parametrize(
    ("old", "new", "kind"), [(2, 4, EffectKind.LIVE), (4, 2, EffectKind.DRAINED), ("auto", 2, EffectKind.DRAINED)]
)
def test_fewer_workers_end_connections(old: object, new: object, kind: EffectKind) -> None:
    assert effect_of(Difference(("workers",), old, new), Config(), Config()).kind is kind


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [(["a"], ["a", "b"], EffectKind.LIVE), (["a", "b"], ["a"], EffectKind.DRAINED), (None, ["a"], EffectKind.DRAINED)],
)
def test_fewer_groups_end_connections(old: object, new: object, kind: EffectKind) -> None:
    assert effect_of(Difference(("listener", "public", "groups"), old, new), Config(), Config()).kind is kind


def test_another_default_ends_those_that_had_the_old_one() -> None:
    assert (
        effect_of(Difference(("listener", "public", "default"), "a", "b"), Config(), Config()).kind
        is EffectKind.DRAINED
    )


def test_limits_and_log_are_live() -> None:
    assert only(document(), document(limits={"connections": 1})).kind is EffectKind.LIVE
    assert only(document(), document(log={"file": "a.log"})).kind is EffectKind.LIVE


def test_a_key_without_a_rule_is_live() -> None:
    assert effect_of(Difference(("new",), 1, 2), Config(), Config()).kind is EffectKind.LIVE


PLEXI = {"pin_file": "a.pin"}
HSM = {"module": "hsm.so", "token": {"plexi": PLEXI}}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (None, HSM, EffectKind.RESTART),
        (HSM, None, EffectKind.LIVE),
        (HSM, {**HSM, "module": "other.so"}, EffectKind.RESTART),
        (HSM, {**HSM, "token": {"plexi": PLEXI, "spare": PLEXI}}, EffectKind.LIVE),
        ({**HSM, "token": {"plexi": PLEXI, "spare": PLEXI}}, HSM, EffectKind.LIVE),
        (HSM, {**HSM, "token": {"plexi": {"pin_file": "b.pin"}}}, EffectKind.LIVE),
        (HSM, {**HSM, "token": {"plexi": {**PLEXI, "serial": "1"}}}, EffectKind.LIVE),
        (HSM, {**HSM, "token": {"plexi": {**PLEXI, "max_sessions": 32}}}, EffectKind.RESTART),
    ],
)
def test_the_module_is_loaded_once_and_its_keys_are_live(old: object, new: object, kind: EffectKind) -> None:
    assert only(document(hsm=old), document(hsm=new)).kind is kind


def test_keys_are_live() -> None:
    keys = ["pkcs11:token=plexi;object=chat", "pkcs11:token=spare;object=chat"]
    change = only(document(), document(identity={"chat": {**IDENTITY, "key": keys}}))
    assert (change.kind, change.old, change.new) == (EffectKind.LIVE, "chat.key", ", ".join(f'"{key}"' for key in keys))
    both = document(identity={"chat": {**IDENTITY, "key": keys}})
    assert only(both, document(identity={"chat": {**IDENTITY, "key": keys, "spread": True}})).kind is EffectKind.LIVE


@pytest.mark.parametrize(("mode", "words"), [("require", "are refused"), ("accept", "from the next request on")])
def test_requiring_encryption_refuses_requests_and_leaves_websockets(mode: str, words: str) -> None:
    tables: dict[str, Any] = {"payload": {"ring": {"chat": {}}}}
    route = {"host": "chat.test", "upstream": "chat", "payload_ring": "chat"}
    changes = diff(
        Config.model_validate(document(route=[{**route, "payload": "off"}], **tables)),
        Config.model_validate(document(route=[{**route, "payload": mode}], **tables)),
    )
    (change,) = changes
    assert change.kind is EffectKind.LIVE
    assert words in change.effect


def test_place_of_rings_needs_a_restart_and_rings_come_and_go() -> None:
    assert only(document(), document(payload={"directory": "other"})).kind is EffectKind.RESTART
    ring: dict[str, Any] = {"payload": {"ring": {"chat": {}}}}
    assert "are made" in only(document(), document(**ring)).effect
    assert "no message" in only(document(**ring), document()).effect


def test_what_clients_must_show_drains_those_that_cannot() -> None:
    asks: dict[str, Any] = {"identity": {"chat": {**IDENTITY, "client_certificates": {"ca": "a.pem"}}}}
    other: dict[str, Any] = {"identity": {"chat": {**IDENTITY, "client_certificates": {"ca": "b.pem"}}}}
    for old, new in ((document(), document(**asks)), (document(**asks), document(**other))):
        change = only(old, new)
        assert change.kind is EffectKind.DRAINED
        assert "whose client would be refused now" in change.effect
    route = {"host": "chat.test", "upstream": "chat"}
    demands = document(**asks, route=[{**route, "client_certificate": "require"}])
    assert "requests get 403" in only(document(**asks, route=[route]), demands).effect
    assert only(demands, document(**asks, route=[route])).kind is EffectKind.LIVE


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ({"alpn": ["irc"]}, {"alpn": ["irc", "other"]}, EffectKind.LIVE),
        ({"alpn": ["irc", "other"]}, {"alpn": ["irc"]}, EffectKind.DRAINED),
        ({}, {"alpn_required": True}, EffectKind.DRAINED),
        ({"alpn_required": True}, {}, EffectKind.LIVE),
        ({}, {"passthrough": {"turn.test": "tcp://10.0.0.1:1"}}, EffectKind.LIVE),
        ({"passthrough": {"turn.test": "tcp://10.0.0.1:1"}}, {}, EffectKind.DRAINED),
        (
            {"passthrough": {"turn.test": "tcp://10.0.0.1:1"}},
            {"passthrough": {"turn.test": "tcp://10.0.0.1:2"}},
            EffectKind.LIVE,
        ),
    ],
)
def test_tcp_connections_end_when_what_they_have_is_gone(
    old: dict[str, object], new: dict[str, object], kind: EffectKind
) -> None:
    assert only(listener(protocol="tcp", **old), listener(protocol="tcp", **new)).kind is kind
