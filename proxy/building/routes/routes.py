"""Build the routes of a configuration: who may use them, and what they do with paths and fields."""

import secrets
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from config.routes.conditions import ANY_VALUE, with_head
from config.routes.fields import FieldsConfig, template_parts
from config.routes.paths import segments_of
from config.schema import PAGE_UPSTREAM, Config, LimitsConfig, RouteConfig
from proxy.auth.grant import Grant
from proxy.auth.rules import Rule, TokenRule
from proxy.auth.sign_in import BODY_BYTES, SIGN_IN_PATH, SignInForm
from proxy.building.request_limits import request_rate
from proxy.building.routes.auth import withheld_fields
from proxy.building.routes.error_pages import PagesOfAll
from proxy.building.routes.payload import PayloadRules
from proxy.downstream.pipeline.token_check import PAGE_GRANT
from proxy.downstream.requests.endpoint import Endpoint
from proxy.downstream.requests.targets import RouteTarget
from proxy.http.routing import Route, RouteTable
from proxy.routes.access import Access
from proxy.routes.conditions import Alternatives, Conditions, Wanted
from proxy.routes.field_edits import FieldDefault, FieldEdits, NamedTemplate
from proxy.routes.paths import PathChange, PrefixChange, Rewrite
from proxy.routes.security_fields import security_defaults
from proxy.routes.templates import Template


@dataclass(frozen=True, slots=True)
class RouteParts:
    """What routes are made of beside their own table; a route is named as in the log."""

    payload: PayloadRules
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """Those of the routes without a server."""
    pages: PagesOfAll = field(default_factory=PagesOfAll)
    auth: Mapping[str, Rule] = field(default_factory=dict)
    """The rules of those that not everyone may use."""
    trusted: Container[str] = frozenset()
    """The hosts whose certificates every browser trusts."""


def route_table(config: Config, parts: RouteParts) -> RouteTable[RouteTarget]:
    places: dict[tuple[str, str], list[RouteConfig]] = {}
    for route in config.route:
        places.setdefault((route.host, route.path), []).append(route)
    withheld = withheld_fields(config, parts.auth)
    routes = [Route(host, path, _place(here, config.limits, parts, withheld)) for (host, path), here in places.items()]
    forms = [form for route in routes for form in sign_in_routes(route)]
    return RouteTable([*routes, *forms, *parts.payload.endpoints(config)])


def _place(
    routes: list[RouteConfig], limits: LimitsConfig, parts: RouteParts, withheld: Mapping[str, Grant]
) -> RouteTarget:
    """What stands at a host and a path: a route, or several with conditions."""
    routes = sorted(routes, key=lambda route: route.specificity, reverse=True)
    targets = [_target(route, limits, parts, withheld.get(route.upstream or "")) for route in routes]
    if not routes[0].conditions:
        return targets[0]
    alternatives = Alternatives(list(zip(map(_conditions, routes), targets, strict=True)))
    return RouteTarget(
        f"{routes[0].host}{routes[0].path}", "", requires_pq=False, body_bytes=0, alternatives=alternatives
    )


def _conditions(route: RouteConfig) -> Conditions:
    methods = frozenset(method.encode() for method in with_head(route.methods or ()))
    return Conditions(methods, _wanted(route.headers or {}), _wanted(route.query or {}))


def _wanted(conditions: Mapping[str, str]) -> tuple[Wanted, ...]:
    return tuple((name.encode(), None if value == ANY_VALUE else value.encode()) for name, value in conditions.items())


def _target(route: RouteConfig, limits: LimitsConfig, parts: RouteParts, withheld: Grant | None) -> RouteTarget:
    body_bytes = limits.body_bytes if route.body_bytes is None else route.body_bytes
    name = route.entry_name
    if route.admin_page is not None:
        body_bytes = 0
        withheld = PAGE_GRANT
    return RouteTarget(
        name,
        PAGE_UPSTREAM if route.admin_page is not None else route.upstream or "",
        requires_pq=route.pq is not None,
        body_bytes=body_bytes,
        rate=None if route.rate is None else request_rate(name, route.rate),
        payload=parts.payload.route(route),
        endpoint=parts.endpoints.get(name),
        requires_certificate=route.client_certificate is not None,
        streams_requests=route.stream_requests,
        error_pages=parts.pages.of_route(name),
        access=Access(route.allow, route.deny) if route.allow or route.deny else None,
        auth=parts.auth.get(name),
        withheld=withheld,
        path_change=path_change(route),
        request_fields=field_edits(route.request_headers),
        response_fields=field_edits(route.response_headers, _security(route, parts.trusted)),
    )


def _security(route: RouteConfig, trusted: Container[str]) -> tuple[FieldDefault, ...]:
    if not route.security_headers:
        return ()
    return security_defaults(hsts=route.host in trusted if route.hsts is None else route.hsts)


def path_change(route: RouteConfig) -> PathChange | None:
    """What a route does with the path; None if it leaves it alone."""
    if route.rewrite is not None:
        segments = list(segments_of(route.rewrite.path))
        numbers = {name: number for number, (name, is_part) in enumerate(segments) if is_part}
        form, to = (
            [numbers[name] if is_part else name.encode("ascii") for name, is_part in segments_of(one)]
            for one in (route.rewrite.path, route.rewrite.to)
        )
        return Rewrite(form, to, has_rest=segments[-1][1] and segments[-1][0].endswith("*"))
    if route.strip_prefix is not None or route.add_prefix is not None:
        return PrefixChange((route.strip_prefix or "").encode("ascii"), (route.add_prefix or "").encode("ascii"))
    return None


def field_edits(fields: FieldsConfig | None, defaults: Sequence[FieldDefault] = ()) -> FieldEdits | None:
    """The edits of one direction; None if there are none."""
    if fields is None:
        return FieldEdits(defaults=defaults) if defaults else None
    return FieldEdits(
        removed=[name.encode("ascii") for name in fields.remove],
        put=_named(fields.set),
        added=_named(fields.add),
        defaults=defaults,
    )


def _named(values: Mapping[str, str]) -> list[NamedTemplate]:
    return [(name.encode("ascii"), Template(template_parts(value))) for name, value in values.items()]


def sign_in_routes(page: Route[RouteTarget]) -> Iterator[Route[RouteTarget]]:
    """The route of the form beside a route that asks for tokens, with the same demands."""
    rule = page.payload.auth
    if isinstance(rule, TokenRule):
        endpoint = Endpoint(SignInForm(rule, secrets.token_bytes).answer, takes_body=True)
        label = f"{page.host}{SIGN_IN_PATH}"
        target = replace(
            page.payload, label=label, upstream="", body_bytes=BODY_BYTES, endpoint=endpoint, auth=None, withheld=None
        )
        yield Route(page.host, SIGN_IN_PATH, target)
