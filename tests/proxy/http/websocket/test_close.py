"""What a close code says."""

import pytest

from proxy.http.websocket.close import ClosedBy, WebSocketClose


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, "normal"),
        (1001, "normal"),
        (1002, "fault"),
        (1005, "no_code"),
        (1006, "lost"),
        (1008, "fault"),
        (1011, "error"),
        (1012, "restart"),
        (1013, "restart"),
        (1014, "error"),
        (2999, "other"),
        (3000, "library"),
        (4004, "application"),
        (4999, "application"),
        (5000, "other"),
    ],
)
def test_code_has_a_class(code: int, kind: str) -> None:
    assert WebSocketClose(code, ClosedBy.SERVER).kind == kind
