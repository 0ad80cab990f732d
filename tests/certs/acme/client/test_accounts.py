"""Accounts come back as they were saved, and nobody else reads them."""

import json
import stat
from pathlib import Path

import pytest

from certs.acme.client.accounts import AccountDamaged, AcmeAccount, FileAccountStore

LE = "https://acme.test/directory"
STAGING = "https://acme.test/directory/../staging"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_account_survives_being_stored(tmp_path: Path) -> None:
    store = FileAccountStore(tmp_path / "state" / "acme")
    assert store.load(LE) is None
    account = AcmeAccount.fresh(LE).registered_as("https://acme.test/acct/7")
    store.save(LE, account.to_document())
    document = store.load(LE)
    assert document is not None
    again = AcmeAccount.from_document(document, LE)
    assert (again.url, again.key.thumbprint) == (account.url, account.key.thumbprint)
    assert again.forgotten().url is None
    assert store.load(STAGING) is None


def test_only_the_owner_may_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    store = FileAccountStore(tmp_path / "acme")
    for _ in range(2):
        store.save(LE, AcmeAccount.fresh(LE).to_document())
    store.save(STAGING, AcmeAccount.fresh(STAGING).to_document())
    files = list((tmp_path / "acme").iterdir())
    assert len(files) == 2
    assert all(file.parent == tmp_path / "acme" and file.suffix == ".json" for file in files)
    assert {mode(file) for file in files} == {0o600}
    assert mode(tmp_path / "acme") == 0o700


def test_what_was_saved_before_stays_when_saving_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileAccountStore(tmp_path)
    store.save(LE, b"before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save(LE, b"after")
    assert store.load(LE) == b"before"
    assert len(list(tmp_path.iterdir())) == 1


GOOD = json.loads(AcmeAccount.fresh(LE).to_document())


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps({**GOOD, "directory": STAGING}).encode(),
        json.dumps({**GOOD, "url": 7}).encode(),
        json.dumps({**GOOD, "key": 7}).encode(),
        json.dumps({**GOOD, "key": GOOD["key"][:-60]}).encode(),
    ],
)
def test_what_is_damaged_is_refused_without_showing_it(document: bytes) -> None:
    with pytest.raises(AccountDamaged) as caught:
        AcmeAccount.from_document(document, LE)
    assert LE in str(caught.value)
    assert "PRIVATE" not in f"{caught.value!r} {caught.value}"


def test_key_is_not_shown() -> None:
    assert "PRIVATE" not in repr(AcmeAccount.fresh(LE))
    assert "key" not in repr(AcmeAccount.fresh(LE))
