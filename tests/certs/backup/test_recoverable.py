"""A secret outside of backups: recovery shares open it, and nobody can put another one in its place."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from certs.audit.entries import unheard
from certs.backup.keys import BackupKeys
from certs.backup.recoverable import NotRecovered, RecoverySeal
from certs.hierarchy.vault import Vault
from certs.recovery.shares import ShareCollector, SharingScheme, split
from certs.sealing.errors import KeyUnavailable
from certs.sealing.key_file import KeyFileImporter, create_key, load_key
from certs.sealing.master import Master
from certs.sealing.recipients import RecipientKem
from certs.sealing.sealer import AeadSealer
from tests.backups import NOW

SECRET = b"the key of a fleet".ljust(32)
NAME = "recovery/1/one"


def sealing(directory: Path, key: Path, kem: RecipientKem = RecipientKem.MLKEM768_X25519) -> RecoverySeal:
    """By a sealing key in a file, with the keys below it in a directory."""
    directory.mkdir(exist_ok=True)
    vault = Vault(Master(key), directory, lambda: NOW, unheard, tuple)
    if not vault.exists:
        BackupKeys.kept_below(vault, directory)
    return RecoverySeal(directory, lambda: vault, lambda: key, kem)


@pytest.fixture
def key(in_memory: Path) -> Path:
    create_key(in_memory / "one.key", has_shares=True)
    return in_memory / "one.key"


def sealed_by(seal: RecoverySeal, name: str = NAME) -> bytes:
    value = seal.renewed(name, SECRET, None)
    assert value is not None
    return value


@pytest.mark.parametrize("kem", list(RecipientKem))
def test_enough_shares_and_the_value_alone_open_the_secret(in_memory: Path, key: Path, kem: RecipientKem) -> None:
    shares = split(bytearray(load_key(key).secret), SharingScheme(2, 3))
    value = sealed_by(sealing(in_memory / "lost", key, kem))
    for secret in (SECRET, load_key(key).secret):
        assert secret not in value
        assert secret.hex().encode() not in value
    collector = ShareCollector()
    for share in shares[1:]:
        collector.add(" ".join(share.words))
    KeyFileImporter(in_memory / "again.key").import_key(collector.rebuild())
    elsewhere = sealing(in_memory / "new", in_memory / "again.key")
    assert elsewhere.opened({"recovery/1/other": b"{}", NAME: value}) == (NAME, SECRET)
    assert {path.name for path in (in_memory / "new").iterdir()} == {"backup.sealed", "keys.sealed", "keys.sealed.lock"}


def test_another_sealing_key_opens_nothing_and_both_are_named(in_memory: Path, key: Path) -> None:
    value = sealed_by(sealing(in_memory / "one", key))
    other = create_key(in_memory / "two.key")
    with pytest.raises(NotRecovered) as refused:
        sealing(in_memory / "two", in_memory / "two.key").opened({NAME: value})
    named = load_key(key).key_id.hex()
    assert str(refused.value) == (
        f"{NAME} is sealed with the key {named}; the sealing key here is {other.key_id.hex()}"
    )


def test_a_sealing_key_that_is_away_is_said(in_memory: Path, key: Path) -> None:
    seal = sealing(in_memory / "one", key)
    value = sealed_by(seal)
    key.unlink()
    with pytest.raises(NotRecovered, match=r"the sealing key cannot be used: .*one\.key"):
        seal.opened({NAME: value})


def test_a_value_is_for_its_name_alone_and_by_its_owner(in_memory: Path, key: Path) -> None:
    """Who has seen a value can encrypt another secret to the same key, and cannot sign it."""
    seal = sealing(in_memory / "one", key)
    value = sealed_by(seal)
    found = json.loads(value)
    create_key(in_memory / "forger.key", has_shares=True)
    forger = sealing(in_memory / "forger", in_memory / "forger.key")
    theirs = json.loads(sealed_by(forger))
    header, foreign = json.loads(found["header"]), json.loads(theirs["header"])
    keys = BackupKeys.kept_below(forger.vault(), forger.directory)
    mixed = json.dumps({**header, "sealed": foreign["sealed"]})
    for name, spoilt in (
        ("recovery/2/one", found),
        (NAME, {**found, "signature": theirs["signature"]}),
        (NAME, {**found, "header": mixed}),
        (NAME, {"header": mixed, "signature": keys.sign(mixed.encode()).hex()}),
    ):
        with pytest.raises(NotRecovered, match="is not as it was written: its signer has not signed that"):
            seal.opened({name: json.dumps(spoilt).encode()})
    empty = json.dumps({**header, "files": {}})
    for content in (b"", b"[]", b"{}", b"\xff", b"[" * 100_000, json.dumps({**found, "header": 1}).encode()):
        with pytest.raises(NotRecovered, match="was not written by Plexigate"):
            seal.opened({NAME: content})
    for text in ("{}", empty):
        with pytest.raises(NotRecovered, match="has a header that Plexigate did not write"):
            seal.opened({NAME: json.dumps({**found, "header": text}).encode()})


def test_it_is_made_again_when_another_secret_another_sealing_key_or_a_spoilt_value_is_there(
    in_memory: Path, key: Path
) -> None:
    seal = sealing(in_memory / "one", key)
    value = sealed_by(seal)
    assert seal.renewed(NAME, SECRET, value) is None
    for name, secret, before in (
        (NAME, bytes(32), value),
        ("recovery/2/one", SECRET, value),
        (NAME, SECRET, b"{}"),
        (NAME, SECRET, value[:-9] + b'00000000"}'[-9:]),
    ):
        made = seal.renewed(name, secret, before)
        assert made is not None
        assert seal.opened({name: made}) == (name, secret)
    newest = create_key(in_memory / "two.key", has_shares=True)
    seal.vault().succeed(AeadSealer(newest), "two.key", NOW + timedelta(seconds=1))
    renewed = seal.renewed(NAME, SECRET, value)
    assert renewed is not None
    for path in (key, in_memory / "two.key"):  # the previous one opens what it could open then
        assert sealing(in_memory / "new", path).opened({NAME: renewed}) == (NAME, SECRET)
        (in_memory / "new" / "keys.sealed").unlink()
        (in_memory / "new" / "backup.sealed").unlink()


def test_what_has_not_changed_is_looked_at_once(in_memory: Path, key: Path) -> None:
    """A node asks every few seconds."""
    value = sealed_by(sealing(in_memory / "one", key))
    vaults = [
        Vault(Master(one), in_memory / "one", lambda: NOW, unheard, tuple) for one in (in_memory / "missing.key", key)
    ]
    seal = RecoverySeal(in_memory / "one", lambda: vaults[-1], lambda: key, RecipientKem.MLKEM768_X25519)
    assert seal.renewed(NAME, SECRET, value) is None
    vault = vaults.pop()
    assert seal.renewed(NAME, SECRET, value) is None, "no file is opened"
    vault.rotate()
    with pytest.raises(KeyUnavailable, match=r"missing\.key"):
        seal.renewed(NAME, SECRET, value)
    vaults.append(vault)
    assert seal.renewed(NAME, SECRET, value) is None
    (in_memory / "one" / "backup.sealed").unlink()
    assert seal.renewed(NAME, SECRET, value) is not None, "by other keys"


def test_without_shares_nothing_is_sealed(in_memory: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_key(in_memory / "none.key", has_shares=False)
    assert sealing(in_memory / "none", in_memory / "none.key").renewed(NAME, SECRET, None) is None
    empty = Vault(Master(key), in_memory / "empty", lambda: NOW, unheard, tuple)
    kem = RecipientKem.MLKEM768_X25519
    assert RecoverySeal(in_memory / "empty", lambda: empty, lambda: key, kem).renewed(NAME, SECRET, None) is None
    seal = sealing(in_memory / "one", key)
    monkeypatch.setattr("certs.backup.keys.is_quantum_safe", lambda _: False)  # as by a key pair in a token
    assert seal.renewed(NAME, SECRET, None) is None
