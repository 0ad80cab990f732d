"""The measurement measures what it says: both sides work on the same messages, and its figures are of this machine's order."""

from proxy.payload.messages.codec import FreshnessWindow
from tests.bench import payload


def test_both_sides_have_the_same_keys() -> None:
    theirs, ours = payload.rings()
    now = 1_780_315_200.0
    assert theirs.decrypt(ours.seal(b"hello", now)) == b"hello"
    assert ours.open(theirs.encrypt_at_time(b"hello", int(now)), FreshnessWindow(60.0, 30.0), now).plain == b"hello"


def test_a_mebibyte_takes_longer_than_a_kibibyte() -> None:
    both = payload.rings()
    assert min(payload.stream_milliseconds(*both)) * 1_000 > max(payload.message_microseconds(*both))
