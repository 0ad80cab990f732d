"""A route that leads past the demands of another one is told, and no other."""

from typing import Any

import pytest

from config.crosschecks.route_reach import reach_problems
from config.schema import Config
from config.values.omissions import Omissions

ALLOW = {"allow": ["10.0.0.0/8"]}


def route(path: str, **keys: Any) -> dict[str, Any]:
    return {"host": "chat.test", "path": path, "upstream": "chat", **keys}


def problems(*routes: dict[str, Any]) -> list[str]:
    identity = {"names": ["chat.test", "b.test"], "certificate": "a.pem", "key": "a.key"}
    upstream = {name: {"servers": ["http://127.0.0.1:1"]} for name in ("chat", "other")}
    listener = {"public": {"bind": "127.0.0.1:1"}}
    config = Config.model_validate(
        {"listener": listener, "identity": {"a": identity}, "upstream": upstream, "route": routes}
    )
    return [f"{one.key}: {one.found}" for one in reach_problems(config, "f", Omissions())]


@pytest.mark.parametrize(
    ("routes", "url"),
    [
        ([route("/chat", strip_prefix="/chat"), route("/metrics", **ALLOW)], "/chat/metrics"),
        ([route("/a", strip_prefix="/a", add_prefix="/in"), route("/in/x", **ALLOW)], "/a/x"),
        ([route("/"), route("/admin", add_prefix="/in", **ALLOW)], "/in/admin"),
        ([route("/"), route("/admin", strip_prefix="/admin", **ALLOW)], "/"),
        ([route("/chat/", strip_prefix="/chat", deny=["10.0.0.1"]), route("/m", **ALLOW)], "/chat/m"),
    ],
)
def test_way_past_a_stricter_route_is_told(routes: list[dict[str, Any]], url: str) -> None:
    (found,) = problems(*routes)
    assert found.startswith('route[0]: a way past allow of "chat.test/')
    assert found.endswith(f'the server gets its paths from "{url}"')


@pytest.mark.parametrize(
    "routes",
    [
        [route("/"), route("/metrics", **ALLOW)],
        [route("/chat", strip_prefix="/chat"), route("/metrics")],
        [route("/chat", strip_prefix="/chat", **ALLOW), route("/metrics", **ALLOW)],
        [route("/chat", strip_prefix="/chat", upstream="other"), route("/metrics", **ALLOW)],
        [route("/chat", strip_prefix="/chat", host="b.test"), route("/metrics", **ALLOW)],
        [route("/chat", strip_prefix="/chat", add_prefix="/in"), route("/metrics", **ALLOW)],
        [
            route("/chat", strip_prefix="/chat"),
            route("/metrics", **ALLOW),
            route("/chat/metrics", strip_prefix="/chat", **ALLOW),
        ],
        [route("/a", methods=["GET"], strip_prefix="/a"), route("/a", methods=["POST"], strip_prefix="/a", **ALLOW)],
        [route("/a", rewrite={"path": "/a/{r*}", "to": "/{r*}"}), route("/metrics", strip_prefix="/metrics", **ALLOW)],
        [{"host": "chat.test", "respond": {"body": "x"}}, route("/metrics", strip_prefix="/metrics", **ALLOW)],
    ],
)
def test_what_leads_nowhere_else_is_no_problem(routes: list[dict[str, Any]]) -> None:
    assert problems(*routes) == []
