"""Build what finds out who may use a route."""

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from config.schema import Config, RouteConfig
from config.values.problems import Location, shown
from proxy.auth.basic import challenge
from proxy.auth.grant import Grant
from proxy.auth.page_tokens import ALLOWED, TokensRefused, parse_tokens
from proxy.auth.rules import AuthRule, BasicRule, Rule, TokenRule, identity_names
from proxy.auth.users import UsersRefused, parse_users
from proxy.building.files import private_content
from proxy.building.foundation import Foundation
from proxy.http.fields import plain_name

if TYPE_CHECKING:
    from config.values.addresses import ServerAddress

_KEY_BYTES: Final = 32

Parsed = TypeVar("Parsed")


def auth_rules(foundation: Foundation) -> dict[str, Rule]:
    """The rules of the routes that not everyone may use, by the names of the routes."""
    return {
        route.entry_name: rule
        for index, route in enumerate(foundation.loaded.config.route)
        if (rule := _rule(foundation, index, route)) is not None
    }


def withheld_fields(config: Config, rules: Mapping[str, Rule]) -> dict[str, Grant]:
    """What routes to an upstream withhold, by its name: the fields that only the proxy may write.

    A route without a rule leads to the same application as one that has a rule, and a client could
    say there that it is an administrator. Upstreams that share a server are the same application.
    """
    told: dict[ServerAddress, frozenset[bytes]] = {}
    for route in config.route:
        rule = rules.get(route.entry_name)
        if rule is not None and route.upstream is not None:
            for server in config.upstream[route.upstream].servers:
                told[server.address] = told.get(server.address, frozenset()) | identity_names(rule)
    withheld = {
        name: frozenset[bytes]().union(*(told.get(server.address, ()) for server in upstream.servers))
        for name, upstream in config.upstream.items()
    }
    return {name: Grant(names) for name, names in withheld.items() if names}


def _rule(foundation: Foundation, index: int, route: RouteConfig) -> Rule | None:
    if (auth := route.auth) is not None:
        copied = frozenset(plain_name(name.encode("ascii")) for name in auth.copy)
        return AuthRule(auth.upstream, auth.path.encode("ascii"), copied, auth.seconds)
    if (basic := route.basic_auth) is not None:
        place = ("route", index, "basic_auth", "file")
        users = _parsed(foundation, place, basic.file, "a file of users, a line of NAME:HASH for each", parse_users)
        return (
            None
            if users is None
            else BasicRule.of(users, challenge(basic.realm), route.entry_name, secrets.token_bytes(_KEY_BYTES))
        )
    if (page := route.admin_page) is not None and page.tokens is not None:
        place = ("route", index, "admin_page", "tokens")
        tokens = _parsed(foundation, place, page.tokens, ALLOWED, parse_tokens)
        return None if tokens is None else TokenRule.of(tokens, route.entry_name)
    return None


def _parsed(
    foundation: Foundation, place: Location, file: str, allowed: str, parse: Callable[[bytes], Parsed]
) -> Parsed | None:
    """Read a file of secrets. After an error there is none, and the error stops the build."""
    content = private_content(foundation, place, file, allowed)
    if content is None:
        return None
    try:
        return parse(content)
    except (TokensRefused, UsersRefused) as error:
        foundation.error(place, f"{shown(file)} has {error.found}", error.allowed)
        return None
