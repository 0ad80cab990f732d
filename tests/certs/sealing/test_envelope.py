"""The format: what is written is read, and what is cut, foreign or newer is refused with its reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.sealing.envelope import Envelope, Purpose, SealingScheme, is_sealed
from certs.sealing.errors import NotSealed, OtherLabel

KEY = bytes(range(16))
ENVELOPE = Envelope(SealingScheme.RSA_OAEP, KEY, "ticket keys: main", b"wrapped", bytes(12), bytes(20))
RAW = ENVELOPE.encode()


@given(
    st.builds(
        Envelope,
        st.sampled_from(SealingScheme),
        st.binary(min_size=16, max_size=16),
        st.text(max_size=50),
        st.binary(max_size=600),
        st.binary(min_size=12, max_size=12),
        st.binary(min_size=16, max_size=100),
    )
)
def test_what_is_written_is_read(envelope: Envelope) -> None:
    raw = envelope.encode()
    assert Envelope.parse(raw) == envelope
    assert raw == envelope.associated + envelope.nonce + envelope.ciphertext


def test_layout() -> None:
    assert (b"PXSEAL\x01\x02" + KEY + b"\x00\x11ticket keys: main" + b"\x00\x07wrapped" + bytes(12) + bytes(20)) == RAW


@pytest.mark.parametrize("length", range(len(RAW) - 4))
def test_cut_anywhere(length: int) -> None:
    with pytest.raises(NotSealed, match=r"it is (cut|too short)"):
        Envelope.parse(RAW[:length])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"-----BEGIN PRIVATE KEY-----\n", "is not sealed"),
        (RAW.replace(b"\x01", b"\x02", 1), "is sealed in a format of version 2; this Plexigate knows version 1"),
        (RAW.replace(b"\x02", b"\x09", 1), "is sealed with a scheme that this Plexigate does not know"),
        (RAW.replace(b"main", b"\xff\xff\xff\xff"), "is sealed with a scheme that this Plexigate does not know"),
    ],
)
def test_what_is_no_envelope(raw: bytes, reason: str) -> None:
    with pytest.raises(NotSealed) as caught:
        Envelope.parse(raw)
    assert caught.value.reason == reason


def test_label() -> None:
    ENVELOPE.require_label(Purpose.TICKET_KEYS.label("main"))
    with pytest.raises(OtherLabel) as caught:
        ENVELOPE.require_label(Purpose.ACME_ACCOUNT.label("main"))
    assert caught.value.reason == 'is sealed as "ticket keys: main"; it must be sealed as "ACME account key: main"'


def test_too_long() -> None:
    with pytest.raises(ValueError, match="more than 65535 bytes"):
        Envelope(SealingScheme.DIRECT, KEY, "x" * 65_536, b"", bytes(12), b"").encode()


def test_filled() -> None:
    empty = Envelope(SealingScheme.DIRECT, KEY, "x", b"", b"", b"")
    assert empty.filled(bytes(12), bytes(16)) == Envelope(SealingScheme.DIRECT, KEY, "x", b"", bytes(12), bytes(16))
    with pytest.raises(ValueError, match="12 bytes"):
        empty.filled(bytes(16), bytes(16))


def test_sealed_files_are_known_by_their_beginning() -> None:
    assert is_sealed(RAW)
    assert not is_sealed(b"-----BEGIN PRIVATE KEY-----\n")
