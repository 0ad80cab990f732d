"""What the parts of a session share is made of its limits, for one side."""

from dataclasses import replace

import pytest

from proxy.http2.session.parts import SessionParts
from tests.http2_frames import H2_LIMITS, Clock


@pytest.mark.parametrize("is_server", [True, False])
def test_all_have_the_same_limits_and_the_streams_of_one_side(*, is_server: bool) -> None:
    parts = SessionParts(replace(H2_LIMITS, connection_window_bytes=65_537, streams=2), Clock(), is_server=is_server)
    assert parts.received.first_credit == 2
    assert parts.table.is_idle(1)
    parts.table.see(1)
    parts.table.take_up(1, 0)
    assert (parts.table.is_full, parts.outbox.has_data) == (False, False)
