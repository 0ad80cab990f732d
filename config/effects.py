"""What a change of the configuration does to established connections: a rule for each key. Pure.

A reload touches an established connection only for a reason: its route, identity or listener is
gone, or a policy is stricter than the one under which it was established.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from config.schema import Config, ListenerConfig, PqPolicy, SecurityLevel
from config.tables.payload import PayloadMode
from config.values.problems import Location


class EffectKind(StrEnum):
    LIVE = "live"
    """With the reload; nothing that is established ends because of it."""
    DRAINED = "drained"
    """With the reload; some of what is established ends, spread over the drain timeout."""
    RESTART = "restart"
    """Only with a restart: a reload that contains it is refused."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The kind of a change, and in one clause what happens to what is established."""

    kind: EffectKind
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs, at a location in which an entry of a list stands by its identity.

    None: it is not there.
    """

    location: Location
    old: object
    new: object


_END: Final = "get a close frame (1012) or end after their response, spread over the drain timeout"
_UNTOUCHED: Final = "established connections are not touched"

Rule = Callable[[Difference, Config, Config], Effect]


def effect_of(difference: Difference, old: Config, new: Config) -> Effect:
    """What a difference between two configurations means."""
    for pattern, rule in _RULES.items():
        if not _covers(pattern, difference.location):
            continue
        if isinstance(rule, Effect):
            return rule
        if len(pattern) == len(difference.location):
            return rule(difference, old, new)
    return _live(f"in force with the reload; {_UNTOUCHED}")


def _covers(pattern: tuple[str, ...], place: Location) -> bool:
    return len(pattern) <= len(place) and all(part in ("*", found) for part, found in zip(pattern, place, strict=False))


def _live(text: str) -> Effect:
    return Effect(EffectKind.LIVE, text)


def _drained(text: str) -> Effect:
    return Effect(EffectKind.DRAINED, text)


def _restart(text: str) -> Effect:
    return Effect(EffectKind.RESTART, text)


def _entry(*, added: Effect, removed: Effect) -> Rule:
    def rule(difference: Difference, _old: Config, _new: Config) -> Effect:
        return added if difference.old is None else removed

    return rule


def _fewer(ended: Effect, otherwise: Effect) -> Rule:
    """For a list: whether entries of it go, or might, as one of both is the default (None)."""

    def rule(difference: Difference, _old: Config, _new: Config) -> Effect:
        match difference.old, difference.new:
            case (list() | tuple()) as old, (list() | tuple()) as new if set(old) <= set(new):
                return otherwise
            case _:
                return ended

    return rule


_HANDSHAKES: Final = _live(f"for new handshakes; {_UNTOUCHED}")
_CONNECTIONS: Final = _live(f"for new connections; {_UNTOUCHED}")


def _workers(difference: Difference, _old: Config, _new: Config) -> Effect:
    match difference.old, difference.new:
        case int(old), int(new) if new > old:
            return _live(f"further workers start; {_UNTOUCHED}")
        case int(), int():
            return _drained(f"connections of a worker that goes {_END}")
        case _:
            return _drained(f"further workers start, or connections of a worker that goes {_END}")


_SEALING: Final = _restart("what is stored is sealed by one or the other from the start on")


def _sealing_key(difference: Difference, _old: Config, _new: Config) -> Effect:
    if None in (difference.old, difference.new):
        return _SEALING
    return _live("it opens the keys below it, which do not change, from then on")


def _pq(difference: Difference, old: Config, new: Config) -> Effect:
    name = str(difference.location[1])
    if _requires_pq(new.listener[name]) and not _requires_pq(old.listener[name]):
        return _drained(f"classical connections {_END}")
    return _HANDSHAKES


def _requires_pq(listener: ListenerConfig) -> bool:
    return listener.pq is PqPolicy.REQUIRE or listener.level.requires_pq


def _level(difference: Difference, old: Config, new: Config) -> Effect:
    name = str(difference.location[1])
    order = list(SecurityLevel)  # from the least to the most strict
    if order.index(new.listener[name].level) > order.index(old.listener[name].level):
        return _drained(f"connections whose key exchange the new level does not allow {_END}")
    return _HANDSHAKES


def _route_client_certificate(difference: Difference, _old: Config, _new: Config) -> Effect:
    if difference.new is not None:
        return _drained(
            "WebSockets of clients that showed no certificate get a close frame (1012), spread over the drain timeout;"
            " requests get 403"
        )
    return _LESS_STRICT


def _route_payload(difference: Difference, _old: Config, _new: Config) -> Effect:
    if difference.new is PayloadMode.REQUIRE:
        return _live("requests that are not encrypted are refused from now on; WebSockets stay as they are")
    return _REQUESTS


_MORE_SERVERS: Final = _live(f"further servers get requests; {_UNTOUCHED}")
_FEWER_SERVERS: Final = _live(
    "a server that is gone gets no further request; its responses in flight and WebSockets stay"
)
_REQUESTS: Final = _live("from the next request on; responses in flight and WebSockets stay")
_LESS_STRICT: Final = _live("from the next request on; WebSockets stay")
_ROUTE_PQ: Final = _entry(
    added=_drained(
        "WebSockets of classical connections get a close frame (1012), spread over the drain timeout; requests get 403"
    ),
    removed=_LESS_STRICT,
)
_ROUTE_NETWORKS: Final = _drained(
    "WebSockets of clients that are not let through any more get a close frame (1012), spread over the drain timeout;"
    " requests get 403"
)
_MODULE: Final = _restart("the module is loaded once in the life of a process")
_PLAIN_ADDRESSES: Final = _live("addresses are opened and closed; requests in flight are answered")
_PLAIN_REQUESTS: Final = _live("for requests without TLS from now on")
_ALERTS: Final = _live("a new receiver gets the open alerts at once")
_END_TCP: Final = "end, spread over the drain timeout"
_TCP: Final = _live("for new connections; established ones stay with their server")
_TCP_NAME: Final = _entry(
    added=_TCP,
    removed=_drained(f"connections to this name {_END_TCP}, unless upstream is for all names"),
)


def _alpn_required(difference: Difference, _old: Config, _new: Config) -> Effect:
    if difference.new:
        return _drained(f"connections without a protocol by ALPN {_END_TCP}")
    return _CONNECTIONS


def _http3(difference: Difference, _old: Config, _new: Config) -> Effect:
    if difference.new:
        return _live(f"its UDP ports are opened; {_UNTOUCHED}")
    return _drained(f"its UDP ports are closed; connections that speak HTTP/3 {_END}")


def _passthrough(difference: Difference, _old: Config, _new: Config) -> Effect:
    if difference.old is None:
        return _live(f"connections to this name are passed on; {_UNTOUCHED}")
    if difference.new is None:
        return _drained(f"connections that were passed on {_END_TCP}")
    return _TCP


# By location, the name of an entry written "*"; the first that fits. A bare effect is also that of
# all keys below.
_RULES: Final[Mapping[tuple[str, ...], Effect | Rule]] = {
    ("openssl",): _restart("providers are loaded once in the life of a process"),
    ("hsm",): _entry(added=_MODULE, removed=_live("the module stays loaded until a restart, and no key in it is used")),
    ("hsm", "module"): _MODULE,
    ("hsm", "token", "*"): _entry(
        added=_live(f"keys in it can be used; {_UNTOUCHED}"),
        removed=_live(f"no key in it is used any more; {_UNTOUCHED}"),
    ),
    ("hsm", "token", "*", "pin_file"): _live(f"for logins from now on; {_UNTOUCHED}"),
    ("hsm", "token", "*", "pin_credential"): _live(f"for logins from now on; {_UNTOUCHED}"),
    ("hsm", "token", "*", "max_sessions"): _restart("threads that sign are started once in the life of a process"),
    ("hsm", "token"): _live(f"for keys that are loaded from now on; {_UNTOUCHED}"),
    ("sealing", "key"): _sealing_key,
    ("sealing", "rotate_after"): _live("for the keys that seal"),
    ("sealing",): _SEALING,
    ("fleet",): _restart("a node takes its place in the fleet at the start"),
    ("audit",): _restart("the audit log is opened once"),
    ("user",): _restart("workers keep the user that they were started as"),
    ("group",): _restart("workers keep the group that they were started as"),
    ("plain", "bind"): _PLAIN_ADDRESSES,
    ("plain", "https_port"): _PLAIN_REQUESTS,
    ("admin",): _restart("the sockets of [admin] are made once"),
    ("workers",): _workers,
    ("watch",): _live("watching starts or ends; connections are not touched"),
    ("reload_timeout",): _live("for the reloads after this one"),
    ("listener", "*"): _entry(
        added=_live(f"its addresses are opened; {_UNTOUCHED}"),
        removed=_drained(f"its addresses are closed; its connections {_END}"),
    ),
    ("listener", "*", "bind"): _live(
        "addresses are opened and closed; connections that came through a closed one stay"
    ),
    ("listener", "*", "pq"): _pq,
    ("listener", "*", "level"): _level,
    ("listener", "*", "groups"): _fewer(
        _drained(f"connections whose key exchange is not in the new list {_END}"), _HANDSHAKES
    ),
    ("listener", "*", "http"): _fewer(
        _drained(f"connections that speak a version of HTTP that is gone {_END}"), _HANDSHAKES
    ),
    ("listener", "*", "http3"): _http3,
    ("listener", "*", "protocol"): _drained(f"its connections {_END}"),
    ("listener", "*", "upstream"): _TCP,
    ("listener", "*", "upstream_by_name", "*"): _TCP_NAME,
    ("listener", "*", "alpn"): _fewer(_drained(f"connections with a protocol that is gone {_END_TCP}"), _CONNECTIONS),
    ("listener", "*", "alpn_required"): _alpn_required,
    ("listener", "*", "passthrough", "*"): _passthrough,
    ("listener", "*", "limits", "tcp_idle_timeout"): _live("for established connections too"),
    ("listener", "*", "limits", "tcp_half_closed_timeout"): _live("for established connections too"),
    ("listener", "*", "weaker_signatures"): _live("for new connections, as certificates are checked at each reload"),
    ("listener", "*", "default"): _drained(
        f"connections without a server name, which were those of the old one, {_END}"
    ),
    ("listener", "*", "proxy_protocol"): _CONNECTIONS,
    ("listener", "*", "proxy_protocol_from"): _CONNECTIONS,
    ("listener", "*", "trusted_peers"): _CONNECTIONS,
    ("listener", "*", "client_address_from"): _CONNECTIONS,
    ("identity", "*"): _entry(
        added=_live(f"clients can ask for its names; {_UNTOUCHED}"),
        removed=_drained(f"its names are refused; its connections {_END}"),
    ),
    ("identity", "*", "names"): _fewer(_drained(f"connections to a name that is gone {_END}"), _HANDSHAKES),
    ("identity", "*", "certificate"): _HANDSHAKES,
    ("identity", "*", "key"): _HANDSHAKES,
    ("identity", "*", "credential"): _HANDSHAKES,
    ("identity", "*", "spread"): _HANDSHAKES,
    ("identity", "*", "prefer"): _HANDSHAKES,
    ("identity", "*", "client_certificates"): _drained(
        f"for new handshakes; connections whose client would be refused now {_END}"
    ),
    ("issuer",): _live("for the next certificates; those that are there stay"),
    ("ct",): _live("for the next look at the logs"),
    ("rotation", "state"): _restart("the directory is locked for the life of a process"),
    ("rotation",): _live("for rotations from now on"),
    ("alerts", "certificate_left"): _live("for all certificates from files, within seconds"),
    ("alerts", "command"): _ALERTS,
    ("alerts", "webhook"): _ALERTS,
    ("alerts",): _live("for open alerts too; no alert is lost or sent twice"),
    ("route", "*"): _entry(
        added=_REQUESTS,
        removed=_drained(
            "its WebSockets stay where another route takes their path, else get a close frame (1012), spread over the drain timeout"
        ),
    ),
    ("route", "*", "pq"): _ROUTE_PQ,
    ("route", "*", "client_certificate"): _route_client_certificate,
    ("route", "*", "allow"): _ROUTE_NETWORKS,
    ("route", "*", "deny"): _ROUTE_NETWORKS,
    ("route", "*", "strip_prefix"): _REQUESTS,
    ("route", "*", "add_prefix"): _REQUESTS,
    ("route", "*", "rewrite"): _REQUESTS,
    ("route", "*", "request_headers"): _REQUESTS,
    ("route", "*", "response_headers"): _REQUESTS,
    ("route", "*", "security_headers"): _REQUESTS,
    ("route", "*", "hsts"): _REQUESTS,
    ("route", "*", "upstream"): _live("from the next request on; WebSockets stay with their server"),
    ("route", "*", "respond"): _REQUESTS,
    ("route", "*", "redirect"): _REQUESTS,
    ("route", "*", "error_pages"): _live("for errors from now on"),
    ("error_pages",): _live("for errors from now on"),
    ("route", "*", "body_bytes"): _live("from the next request on"),
    ("route", "*", "stream_requests"): _REQUESTS,
    ("route", "*", "payload"): _route_payload,
    ("route", "*", "payload_ring"): _REQUESTS,
    ("route", "*", "payload_sessions"): _REQUESTS,
    ("route", "*", "payload_websocket"): _REQUESTS,
    ("route", "*", "payload_origins"): _REQUESTS,
    ("route", "*", "auth"): _REQUESTS,
    ("route", "*", "basic_auth"): _REQUESTS,
    ("route", "*", "admin_page"): _REQUESTS,
    ("payload", "directory"): _restart("the directory of rings is chosen at the start"),
    ("payload", "ring", "*"): _entry(
        added=_live("its keys are made, or read from where they rest"),
        removed=_live("no message under it is accepted any more; its keys stay where they rest"),
    ),
    ("payload",): _live("for messages from now on"),
    ("upstream", "*"): _entry(
        added=_live("connections are made when requests come"),
        removed=_live("its idle connections are closed; responses in flight and WebSockets stay"),
    ),
    ("upstream", "*", "servers", "*"): _entry(added=_MORE_SERVERS, removed=_FEWER_SERVERS),
    ("upstream",): _live("for new connections to its servers; responses in flight and WebSockets stay"),
    ("limits", "log_queue_lines"): _restart("the queue of log lines is made once"),
    ("limits", "drain_timeout"): _live("for drains from now on"),
    ("limits", "rotate_tls_ticket_key_after"): _live("counts from the reload on"),
    ("limits", "tcp_idle_timeout"): _live("for established connections too"),
    ("limits", "tcp_half_closed_timeout"): _live("for established connections too"),
    ("limits",): _live("for new connections and requests; nothing established ends because of it"),
    ("log", "file"): _live("the new file is opened and the old one closed; no line is lost"),
    ("log",): _live("for the lines from now on"),
}
