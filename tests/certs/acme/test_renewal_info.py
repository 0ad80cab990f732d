"""Names of certificates at their CA, and windows (RFC 9773)."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs.acme.renewal_info import NoWindow, certificate_id, window_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(serial: int, identifier: bytes | None) -> x509.Certificate:
    name = x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(serial)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=6))
    )
    if identifier is not None:
        names = None if identifier else [x509.DNSName("ca.test")]
        authority = x509.AuthorityKeyIdentifier(identifier or None, names, None if identifier else 1)
        builder = builder.add_extension(authority, critical=False)
    return builder.sign(KEY, hashes.SHA256())


def test_example_of_the_rfc() -> None:
    """RFC 9773 section 4.1: the serial number 00:87:65:43:21 keeps its zero, which makes it positive."""
    identifier = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
    assert certificate_id(certificate(0x87654321, identifier)) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


@pytest.mark.parametrize(("serial", "end"), [(1, "AQ"), (0x7F, "fw"), (0x80, "AIA"), (0xFFFF, "AP__")])
def test_serial_is_written_as_in_der(serial: int, end: str) -> None:
    found = certificate_id(certificate(serial, b"\x01"))
    assert found == f"AQ.{end}"


@pytest.mark.parametrize("identifier", [None, b""])
def test_certificate_that_does_not_name_the_key_of_its_issuer_has_no_name(identifier: bytes | None) -> None:
    assert certificate_id(certificate(1, identifier)) is None


WINDOW = {"start": "2026-03-02T04:00:00Z", "end": "2026-03-03T04:00:00.123456789+01:00"}


def test_window() -> None:
    window = window_of({"suggestedWindow": WINDOW, "explanationURL": "https://ca.test/"}, None, NOW)
    assert window.start == datetime(2026, 3, 2, 4, tzinfo=UTC)
    assert window.end == datetime(2026, 3, 3, 3, 0, 0, 123456, tzinfo=UTC)
    assert window.ask_again is None


@pytest.mark.parametrize(("seconds", "kept"), [(0.0, 60), (60.0, 60), (21_600.0, 21_600), (604_800.0, 86_400)])
def test_time_to_ask_again_is_kept_within_a_minute_and_a_day(seconds: float, kept: int) -> None:
    window = window_of({"suggestedWindow": WINDOW}, seconds, NOW)
    assert window.ask_again == NOW + timedelta(seconds=kept)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"suggestedWindow": []},
        {"suggestedWindow": {"start": WINDOW["start"]}},
        {"suggestedWindow": {"start": WINDOW["end"], "end": WINDOW["start"]}},
        {"suggestedWindow": {"start": WINDOW["start"], "end": WINDOW["start"]}},
        {"suggestedWindow": {"start": 7, "end": 8}},
        {"suggestedWindow": {"start": "2026-03-02T04:00:00", "end": WINDOW["end"]}},
    ],
)
def test_what_says_nothing_counts_as_nothing(document: dict[str, object]) -> None:
    with pytest.raises(NoWindow, match="without a usable window"):
        window_of(document, None, NOW)
