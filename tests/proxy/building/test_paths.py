"""What routes do with paths, as it is built."""

import pytest

from config.route import RouteConfig
from proxy.building.paths import path_change

ROUTE = {"host": "chat.example.org", "upstream": "chat", "path": "/u"}


@pytest.mark.parametrize(
    ("keys", "changed"),
    [
        ({"strip_prefix": "/u"}, b"/bob/files/x?y"),
        ({"add_prefix": "/in"}, b"/in/u/bob/files/x?y"),
        ({"strip_prefix": "/u", "add_prefix": "/in"}, b"/in/bob/files/x?y"),
        ({"rewrite": {"path": "/u/{name}/files/{rest*}", "to": "/f/{rest*}"}}, b"/f/x?y"),
        ({"rewrite": {"path": "/u/{name}/{kind}/{id}", "to": "/{id}/{name}/"}}, b"/x/bob/?y"),
    ],
)
def test_each_key_has_its_effect(keys: dict[str, object], changed: bytes) -> None:
    change = path_change(RouteConfig.model_validate({**ROUTE, **keys}))
    assert change is not None
    assert change.applied(b"/u/bob/files/x?y") == changed


def test_route_without_them_leaves_the_path_alone() -> None:
    assert path_change(RouteConfig.model_validate(ROUTE)) is None
