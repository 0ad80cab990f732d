"""The header gives the secret to whom the backup is encrypted, and tells the others who that is."""

import pytest

from certs.backup.container import BackupDamaged
from certs.backup.header import Header, NotForThisKey
from certs.sealing.recipients import PrivateRecipient, RecipientKem

SECRET = bytes(range(32))


def test_each_recipient_finds_the_secret() -> None:
    keys = [PrivateRecipient.generate(kem) for kem in RecipientKem]
    header = Header.made(SECRET, [key.public for key in keys], {"keys.sealed": b"\0\xff"})
    read = Header.parse(header.encode())
    assert read.files == {"keys.sealed": b"\0\xff"}
    stranger = PrivateRecipient.generate(RecipientKem.MLKEM768_X25519)
    for key in keys:
        assert read.opened([stranger, key]) == SECRET
    with pytest.raises(NotForThisKey) as caught:
        read.opened([stranger])
    assert stranger.public.id in str(caught.value)
    assert all(key.public.id in str(caught.value) for key in keys)
    assert "sealed" not in repr(read)


def test_a_secret_that_was_exchanged_is_found() -> None:
    key = PrivateRecipient.generate(RecipientKem.MLKEM768_X25519)
    of_another = PrivateRecipient.generate(RecipientKem.MLKEM768_X25519).public.seal(SECRET)
    for sealed, why in ((of_another, "does not open"), (key.public.seal(b"short"), "another length")):
        with pytest.raises(BackupDamaged, match=why):
            Header({key.public.id: sealed}, {}).opened([key])


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"sealed": {"a": 1}, "files": {}}', b'{"sealed": [], "files": {}}']
)
def test_other_headers_are_refused(content: bytes) -> None:
    with pytest.raises(BackupDamaged, match="header"):
        Header.parse(content)
