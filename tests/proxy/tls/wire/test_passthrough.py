"""Which names are passed on without opening their TLS."""

import pytest

from proxy.tls.wire.passthrough import PassthroughTable

TABLE = PassthroughTable({"turn.test": "a", "*.media.test": "b"}, {"chat.media.test", "*.test"})


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("turn.test", "a"),
        ("x.media.test", "b"),
        ("chat.media.test", None),  # an exact name of an identity wins over a wildcard
        ("x.y.media.test", None),
        ("other.test", None),
        (None, None),
    ],
)
def test_exact_names_win_and_a_connection_without_a_name_is_opened(name: str | None, found: str | None) -> None:
    assert TABLE.upstream_for(name) == found
