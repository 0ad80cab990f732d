"""Build what a host with the admin page answers beside the page: the form for a token."""

import secrets
from collections.abc import Iterator
from dataclasses import replace

from proxy.auth.rules import TokenRule
from proxy.auth.sign_in import BODY_BYTES, SIGN_IN_PATH, SignInForm
from proxy.downstream.admission import RouteTarget
from proxy.downstream.endpoint import Endpoint
from proxy.http.routing import Route


def sign_in_routes(page: Route[RouteTarget]) -> Iterator[Route[RouteTarget]]:
    """The route of the form beside a route that asks for tokens.

    It demands of its clients what the page does.
    """
    rule = page.payload.auth
    if isinstance(rule, TokenRule):
        endpoint = Endpoint(SignInForm(rule, secrets.token_bytes).answer, takes_body=True)
        label = f"{page.host}{SIGN_IN_PATH}"
        target = replace(
            page.payload, label=label, upstream="", body_bytes=BODY_BYTES, endpoint=endpoint, auth=None, withheld=None
        )
        yield Route(page.host, SIGN_IN_PATH, target)
