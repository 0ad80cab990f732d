"""What connections know of the routes in maintenance."""

from proxy.building.routes.maintenance import maintenance_of
from proxy.processes.messages.questions import MaintainedRoute
from tests.fakes_http import Conversation


def test_routes_are_as_the_parent_says() -> None:
    client = Conversation().downstream.facts.requester
    found = maintenance_of(
        (
            MaintainedRoute("a/", 1.0, 5, "<p>{status}", page_is_html=True, allowed=("192.0.2.0/24",)),
            MaintainedRoute("b/", 1.0, 6, "<p>{status}", page_is_html=True, allowed=()),
            MaintainedRoute("c/", 1.0, 7, "", page_is_html=False, allowed=("2001:db8::/32",)),
        ),
        3.0,
    )
    assert found is not None
    assert found.drain_seconds == 3.0
    assert found.refusal("a/", client) is None
    second, third = found.refusal("b/", client), found.refusal("c/", client)
    assert second is not None is not third
    assert (second.status, second.retry_after, third.retry_after, third.pages) == (503, 6, 7, None)
    assert second.pages is not None
    page = second.pages.find(503, is_html=True)
    assert page is not None
    assert page.body(503, "", "") == b"<p>503"
    assert found.refusal("d/", client) is None


def test_without_routes_there_is_nothing_to_look_into() -> None:
    assert maintenance_of((), 3.0) is None
