"""Sealing and opening with each scheme."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.sealing.envelope import Envelope, Purpose
from certs.sealing.errors import NotSealed, OtherKey, OtherLabel, SealingError, Tampered
from certs.sealing.sealer import Sealer, SealerRing, SucceedingSealer
from tests.certs.sealing.sealers import SEALERS, direct

LABEL = Purpose.TICKET_KEYS.label("main")


@pytest.fixture(params=SEALERS)
def sealer(request: pytest.FixtureRequest) -> Sealer:
    return SEALERS[request.param]


def test_only_the_same_label_opens_it(sealer: Sealer) -> None:
    sealed = sealer.seal(b"eighty bytes of ticket keys", LABEL)
    assert sealer.open(sealed, LABEL) == b"eighty bytes of ticket keys"
    assert b"eighty" not in sealed
    with pytest.raises(OtherLabel):
        sealer.open(sealed, Purpose.TICKET_KEYS.label("other"))


def test_no_two_envelopes_share_a_nonce(sealer: Sealer) -> None:
    parsed = [Envelope.parse(sealer.seal(b"", LABEL)) for _ in range(20)]
    assert len({envelope.nonce for envelope in parsed}) == 20
    assert sealer.open(parsed[0].encode(), LABEL) == b""


def test_every_changed_byte_is_refused(sealer: Sealer) -> None:
    sealed = sealer.seal(b"secret", LABEL)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealingError) as caught:
            sealer.open(bytes(changed), LABEL)
        assert isinstance(caught.value, (NotSealed, OtherKey, OtherLabel, Tampered))
        assert b"secret" not in str(caught.value).encode()


@settings(max_examples=30)
@given(st.binary(max_size=3_000), st.text(max_size=40))
def test_any_content_and_label(plain: bytes, label: str) -> None:
    for sealer in SEALERS.values():
        assert sealer.open(sealer.seal(plain, label), label) == plain


def test_a_label_that_is_rewritten_does_not_open(sealer: Sealer) -> None:
    sealed = sealer.seal(b"secret", LABEL)
    moved = sealed.replace(b"ticket keys: main", b"ticket keys: evil")
    with pytest.raises(Tampered):
        sealer.open(moved, Purpose.TICKET_KEYS.label("evil"))


def test_each_names_its_key() -> None:
    ids = {name: sealer.key_id for name, sealer in SEALERS.items()}
    assert len(set(ids.values())) == 3
    for name, sealer in SEALERS.items():
        assert Envelope.parse(sealer.seal(b"", LABEL)).key_id == ids[name]
        for other in SEALERS.values():
            if other is not sealer:
                with pytest.raises(OtherKey, match=ids[name].hex()):
                    other.open(sealer.seal(b"", LABEL), LABEL)


def test_ring_opens_with_older_keys_and_seals_with_the_newest() -> None:
    old, new = direct(bytes(32)), direct(bytes([1]) * 32)
    ring = SealerRing(new, old)
    assert ring.open(old.seal(b"old", LABEL), LABEL) == b"old"
    assert new.open(ring.seal(b"new", LABEL), LABEL) == b"new"
    assert ring.key_id == new.key_id
    with pytest.raises(OtherKey, match=f"{new.key_id.hex()} or {old.key_id.hex()}"):
        ring.open(direct(bytes([2]) * 32).seal(b"", LABEL), LABEL)


def test_a_key_that_succeeds_another_one_opens_what_that_has_sealed() -> None:
    before, now = direct(bytes(32)), direct()
    both = SucceedingSealer(now, before)
    assert both.key_id == now.key_id
    assert both.open(before.seal(b"plain", LABEL), LABEL) == b"plain"
    sealed = both.seal(b"plain", LABEL)
    assert now.open(sealed, LABEL) == both.open(sealed, LABEL) == b"plain"
    with pytest.raises(OtherKey):
        before.open(sealed, LABEL)
    old = before.seal(b"plain", LABEL)
    with pytest.raises(Tampered):
        both.open(bytes([*old[:-1], old[-1] ^ 1]), LABEL)
