"""The limits of a connection cannot change under it."""

import dataclasses

import pytest

from tests.fakes_http import LIMITS


def test_limits_of_a_connection_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LIMITS.http2.streams = 1_000  # type: ignore[misc]
