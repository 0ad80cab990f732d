"""What ready means, and what is said where it is not."""

import pytest

from proxy.observe.readiness import READY, ReadinessFacts, ServerFacts, ServerView, UpstreamFacts, readiness

ONE, OTHER = "http://10.0.0.1:8000", "http://10.0.0.2:8000"
UP, EJECTED, GONE = ServerView("up", False), ServerView("ejected", False), ServerView("ejected", True)  # noqa: FBT003 - a table
ROUTES = ("chat.test/", "chat.test/api")


def of(*servers: ServerFacts, routes: tuple[str, ...] = ROUTES) -> ReadinessFacts:
    """A proxy with one upstream."""
    return ReadinessFacts(upstreams=[UpstreamFacts("chat", routes, servers)])


def server(address: str = ONE, *views: ServerView, is_up: bool | None = None, is_drained: bool = False) -> ServerFacts:
    """A server."""
    return ServerFacts(address, is_up, is_drained, views)


def test_nothing_wrong_is_ready() -> None:
    assert readiness(ReadinessFacts()) == READY
    assert READY.is_ready
    assert str(READY) == "ready"
    assert READY.as_json() == {"ready": True, "reasons": [], "doubts": []}


def test_each_that_cannot_serve_is_named() -> None:
    found = readiness(
        ReadinessFacts(
            "ends",
            {"1": "does not answer"},
            {"chat": "has no certificate yet"},
            of(server(is_up=False)).upstreams,
        )
    )
    assert not found.is_ready
    assert [str(one) for one in found.reasons] == [
        "proxy ends",
        "worker 1 does not answer",
        "identity chat has no certificate yet",
        f"upstream chat (routes chat.test/, chat.test/api) has no server that takes requests: {ONE} is down",
    ]
    assert str(found) == "proxy ends; and 3 more"
    assert found.as_json() == {
        "ready": False,
        "reasons": [
            {"subject": "proxy", "name": "", "detail": "ends"},
            {"subject": "worker", "name": "1", "detail": "does not answer"},
            {"subject": "identity", "name": "chat", "detail": "has no certificate yet"},
            {
                "subject": "upstream",
                "name": "chat",
                "detail": f"has no server that takes requests: {ONE} is down",
                "routes": list(ROUTES),
            },
        ],
        "doubts": [],
    }
    assert str(readiness(ReadinessFacts("ends"))) == "proxy ends"


class TestUpstreams:
    """Routes without a server that takes requests."""

    @pytest.mark.parametrize(
        "servers",
        [
            [server()],
            [server(is_up=True)],
            [server(ONE, UP, GONE)],
            [server(ONE, is_up=False), server(OTHER)],
            [server(ONE, is_drained=True), server(OTHER, UP)],
            [server(ONE, ServerView("slow-start", False))],  # noqa: FBT003 - a table
        ],
    )
    def test_one_server_that_one_worker_can_use_is_enough(self, servers: list[ServerFacts]) -> None:
        assert readiness(of(*servers)) == READY

    @pytest.mark.parametrize(
        ("servers", "detail"),
        [
            ([server(is_up=False)], f"{ONE} is down"),
            ([server(ONE, GONE, GONE)], f"{ONE} is unreachable"),
            ([server(ONE, is_up=False), server(OTHER, is_drained=True)], f"{ONE} is down, {OTHER} is drained"),
            ([server(ONE, GONE), server(OTHER, EJECTED)], f"{ONE} is unreachable, {OTHER} is ejected"),
        ],
    )
    def test_without_any_it_is_not_ready(self, servers: list[ServerFacts], detail: str) -> None:
        (reason,) = readiness(of(*servers)).reasons
        assert reason.detail == f"has no server that takes requests: {detail}"

    def test_an_upstream_without_a_route_does_not_matter(self) -> None:
        assert readiness(of(server(is_up=False), routes=())) == READY

    def test_a_drain_is_deliberate(self) -> None:
        found = readiness(of(server(ONE, is_drained=True), server(OTHER, is_up=False, is_drained=True)))
        assert found.is_ready
        (doubt,) = found.doubts
        assert doubt.detail == "has only servers that an operator drained: clients get 503"

    @pytest.mark.parametrize("servers", [[server(ONE, EJECTED, GONE)], [server(ONE, GONE, is_up=True)]])
    def test_requests_that_fail_do_not_take_the_proxy_out(self, servers: list[ServerFacts]) -> None:
        found = readiness(of(*servers))
        assert found.is_ready
        assert found.doubts[0].detail.startswith("has only servers that failed recent requests")


def test_checks_that_cannot_be_made_are_a_doubt() -> None:
    found = readiness(ReadinessFacts(unmade_checks={"chat": "Too many open files"}))
    assert found.is_ready
    assert [str(one) for one in found.doubts] == [
        "upstream chat has health checks that cannot be made (Too many open files): the previous results count"
    ]
