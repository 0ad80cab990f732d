"""The checks of the doctor that shake hands with the listeners of a configuration."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from config.routes.route import RouteConfig
from config.schema import Config
from config.values.addresses import name_matches
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.handshakes import stack, visits
from proxy.doctor.handshakes.conversation import is_taken
from proxy.doctor.handshakes.judgement import Subject
from proxy.doctor.handshakes.presented import CHAIN
from proxy.doctor.handshakes.visiting import ListenerVisit, passthrough_finding
from proxy.doctor.handshakes.visits import NotVisited, VisitedListener, VisitedName

_LISTENER: Final = Judge("listener")
_REQUEST: Final = Judge("request")
_SECONDS: Final = 30.0
_SECONDS_FOR_NAMES: Final = 15.0
"""A token that signs slowly leaves no time for many names; the requests come behind them."""


def _handshakes(examined: Examined) -> Iterator[Finding]:
    """All, one after the other: the limits on a single client count them together."""
    visited: list[VisitedListener] = []
    for one in _listeners(examined):
        if isinstance(one, NotVisited):
            yield _LISTENER.skipped(one.name, one.reason)
        else:
            visit = ListenerVisit(one)
            yield from visit.policy_findings()
            if one.doors[0] not in visit.unanswered:  # where names and requests are tried
                visited.append(one)
    yield from condensed(_names(examined, visited))
    yield from _passthrough(examined)
    for one in visited:
        yield from _requests(examined.loaded.config, one)


def _names(examined: Examined, visited: Sequence[VisitedListener]) -> Iterator[tuple[Subject, Finding]]:
    until = time.monotonic() + _SECONDS_FOR_NAMES
    mldsa = visits.mldsa_by_identity(examined.status)
    for one in visited:
        for subject, finding in ListenerVisit(one).name_findings(mldsa, examined.now()):
            yield subject, finding
            if time.monotonic() > until:
                rest = Subject(one.name, "", "further names")
                found = f"not checked: the handshakes before took {_SECONDS_FOR_NAMES:g} s"
                yield rest, Judge(CHAIN).unknown(str(rest), found)
                return


def _passthrough(examined: Examined) -> Iterator[Finding]:
    for one in visits.names_passed_on(examined.loaded.config, visits.addresses_by_listener(examined.status)):
        if examined.running is not None or is_taken(one.door):
            yield passthrough_finding(one)


def _requests(config: Config, one: VisitedListener) -> Iterator[Finding]:
    if not one.speaks_http:
        yield _REQUEST.skipped(one.name, "it relays TCP: the doctor knows nothing to say to the server behind")
        return
    asked = next(_askable(config, one), None)
    if asked is None:
        found = "no name has a route to an upstream that a client without credentials may use"
        yield _REQUEST.skipped(one.name, found)
    else:
        yield from ListenerVisit(one).request_findings(*asked)


def _askable(config: Config, listener: VisitedListener) -> Iterator[tuple[VisitedName, str]]:
    """Names that lead to an upstream, each with a path."""
    for named in listener.names:
        if named.demands_certificate:
            continue
        for route in config.route:
            if route.upstream is not None and name_matches(route.host, named.name) and _takes_anyone(route):
                health = config.upstream[route.upstream].health if route.upstream in config.upstream else None
                probed = None if health is None else health.path
                yield named, probed if probed is not None and route.path == "/" else route.path


def _takes_anyone(route: RouteConfig) -> bool:
    conditions = (route.methods, route.headers, route.query, route.client_certificate, route.auth, route.basic_auth)
    return all(one is None for one in conditions) and not (route.allow or route.deny)


def _listeners(examined: Examined) -> Iterator[VisitedListener | NotVisited]:
    for one in visits.listeners_to_visit(
        examined.loaded.config, visits.addresses_by_listener(examined.status), stack.has_group
    ):
        if isinstance(one, VisitedListener) and examined.running is None and not any(map(is_taken, one.doors)):
            yield NotVisited(one.name, "no proxy runs, and nothing listens there")
        else:
            yield one


HANDSHAKES: Final = (Checkup("handshakes", Area.HANDSHAKES, _handshakes, _SECONDS, is_alone=True),)


_MOST: Final = 8
"""How many names, and listeners, are written out."""


def condensed(findings: Iterable[tuple[Subject, Finding]]) -> Iterator[Finding]:
    """One finding for each check, state and text; its subject names all that it is about."""
    subjects: dict[Finding, list[Subject]] = {}
    for subject, one in findings:
        subjects.setdefault(replace(one, subject=""), []).append(subject)
    for alike, of in subjects.items():
        yield replace(alike, subject=str(of[0]) if len(of) == 1 else _all_of(of))


def _all_of(subjects: Iterable[Subject]) -> str:
    names = dict[str, None]()
    listeners = dict[str, None]()
    for one in subjects:
        names[one.name] = listeners[one.listener] = None
    return f"{_listed(list(names))} on {_listed(list(listeners))}"


def _listed(words: list[str]) -> str:
    left = len(words) - _MOST
    return ", ".join(words) if left <= 0 else f"{', '.join(words[:_MOST])} and {left} more"
