"""What a route demands of the client, and the answer to one that does not meet it."""

import pytest

from proxy.downstream.admission import RouteTarget
from proxy.downstream.client import ClientFacts
from proxy.downstream.demands import unmet_demand
from proxy.downstream.refusals import RequestRefusal
from proxy.http.fields import Fields
from proxy.tls.groups import NamedGroup
from tests.fakes_http import CLASSICAL, HYBRID, established

OPEN = RouteTarget("open", "chat", requires_pq=False, body_bytes=1_000)
STRICT = RouteTarget("strict", "chat", requires_pq=True, body_bytes=1_000)


def asked(target: RouteTarget, group: NamedGroup | None = HYBRID) -> RequestRefusal | None:
    """The answer to a request of a client with this key exchange."""
    facts = ClientFacts("192.0.2.7", "public", established(group=group), is_trusted=False)
    return unmet_demand(target, facts, Fields([], [], {}))


@pytest.mark.parametrize(("target", "group"), [(OPEN, HYBRID), (OPEN, CLASSICAL), (OPEN, None), (STRICT, HYBRID)])
def test_client_that_meets_all_demands_may_go_on(target: RouteTarget, group: NamedGroup | None) -> None:
    assert asked(target, group) is None


@pytest.mark.parametrize(("group", "name"), [(CLASSICAL, "X25519"), (None, "unknown")])
def test_stricter_route_names_group_and_remedy(group: NamedGroup | None, name: str) -> None:
    refused = asked(STRICT, group)
    assert refused is not None
    assert (refused.status, refused.reason) == (403, "route_requires_pq")
    assert name in refused.detail
    assert refused.members["group"] == name
    assert "X25519MLKEM768" in str(refused.members["required"])
    assert "client" in str(refused.members["remedy"])
