"""What is said when something sealed cannot be opened."""

from certs.sealing.errors import KeyUnavailable, OtherKey, OtherLabel, SealingError, Tampered


def test_each_has_its_reason() -> None:
    errors: list[SealingError] = [
        OtherKey(b"\1", (b"\2", b"\3")),
        OtherLabel("a", "b"),
        Tampered(),
        KeyUnavailable("x"),
    ]
    assert [error.reason.split()[0] for error in errors] == ["is", "is", "was", "cannot"]
    assert errors[0].reason == "is sealed with the key 01; the sealing key here is 02 or 03"
