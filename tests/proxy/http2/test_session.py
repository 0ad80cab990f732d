"""The server's side of one HTTP/2 connection."""

from proxy.http2.session import ServerSession
from tests.fakes_http import LIMITS


def test_a_session_begins_without_streams() -> None:
    session = ServerSession(LIMITS.http2, lambda: 0.0)
    assert (session.open_streams, session.last_stream_id, session.is_going_away) == (0, 0, False)
