"""The file of the keys below the sealing key, whole and in parts."""

import pytest

from certs.hierarchy.file_sealer import FileSealer, sealing_key_ids
from certs.sealing.errors import NotSealed, OtherKey, OtherLabel, SealingError
from tests.certs.sealing.sealers import by_ec, direct

OTHER = direct(bytes(32))


def sealed() -> bytes:
    sealer = FileSealer(direct())
    sealer.renew(OTHER, direct(), by_ec())
    return sealer.seal(b"keys", "all")


def opened(sealer: FileSealer, content: bytes) -> bytes | None:
    try:
        return sealer.open(content, "all")
    except SealingError:
        return None


def test_each_sealing_key_opens_it_alone_and_no_other_one() -> None:
    content = sealed()
    for one in (OTHER, direct(), by_ec()):
        sealer = FileSealer(one)
        assert sealer.open(content, "all") == b"keys"
        assert sealing_key_ids(sealer.seal(b"more", "all")) == sealing_key_ids(content)
    assert sealing_key_ids(content) == (OTHER.key_id, direct().key_id, by_ec().key_id)
    with pytest.raises(OtherKey, match=f"is sealed with the key {OTHER.key_id.hex()}"):
        FileSealer(direct(bytes([1] * 32))).open(content, "all")
    with pytest.raises(OtherLabel):
        FileSealer(OTHER).open(content, "some")


def test_a_new_one_is_for_its_own_sealing_key() -> None:
    content = FileSealer(direct()).seal(b"keys", "all")
    assert sealing_key_ids(content) == (direct().key_id,)
    assert FileSealer(direct()).open(content, "all") == b"keys"


def test_no_byte_can_be_changed_or_missing() -> None:
    content = sealed()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        for damaged in (bytes(changed), content[:place]):
            # a wrap of one sealing key may be damaged: that one opens it no more
            found = [opened(FileSealer(one), damaged) for one in (OTHER, direct(), by_ec())]
            assert set(found) <= {b"keys", None}
            assert None in found


@pytest.mark.parametrize("content", [b"PXKEYS", b"PXKEYS\1\0", b"PXKEYS\2\1\0\0", b"PXKEYS\1\2\0\0", b"rubbish", b""])
def test_what_is_no_such_file(content: bytes) -> None:
    with pytest.raises(NotSealed):
        FileSealer(direct()).open(content, "all")
    with pytest.raises(NotSealed):
        sealing_key_ids(content)
