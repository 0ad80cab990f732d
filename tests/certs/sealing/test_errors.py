"""What is said when something sealed cannot be opened."""

from datetime import UTC, datetime

from certs.sealing.errors import KeyUnavailable, OtherKey, OtherLabel, PreviousKey, SealingError, Tampered


def test_each_has_its_reason() -> None:
    errors: list[SealingError] = [
        OtherKey(b"\1", (b"\2", b"\3")),
        OtherLabel("a", "b"),
        Tampered(),
        KeyUnavailable("x"),
    ]
    assert [error.reason.split()[0] for error in errors] == ["is", "is", "was", "cannot"]
    assert errors[0].reason == "is sealed with the key 01; the sealing key here is 02 or 03"


def test_a_key_that_was_replaced_names_its_time_and_its_successor() -> None:
    error = PreviousKey(datetime(2026, 12, 1, 13, 40, tzinfo=UTC), "sealing.aes-256.v2")
    assert error.newest == "sealing.aes-256.v2"
    assert error.reason.endswith("that was replaced, until 2026-12-01 13:40 UTC, by sealing.aes-256.v2")
