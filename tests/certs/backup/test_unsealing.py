"""The sealing key opens a backup, and tells whether it is ours."""

from datetime import timedelta
from pathlib import Path

import pytest

from certs.audit.entries import unheard
from certs.backup.configured import RecipientRefused
from certs.backup.container import BackupDamaged
from certs.backup.header import Header
from certs.backup.keys import BackupKeys
from certs.backup.opened import OpenBackup
from certs.backup.unsealing import NoRecoveryKey, sealing_keys_of
from certs.hierarchy.configured import vault_of
from certs.sealing.errors import OtherKey
from certs.sealing.held_key import HeldKey
from certs.sealing.key_file import create_key, load_key
from certs.sealing.recipients import PrivateRecipient, RecipientKem
from certs.sealing.sealer import AeadSealer
from tests.backups import NOW, Installation, nothing, secret_of


def test_the_sealing_key_alone_opens_it(site: Installation, backup: Path, in_memory: Path) -> None:
    key = site.lost(in_memory / "sealing.key")
    create_key(in_memory / "other.key")
    with OpenBackup.at(backup) as opened:
        header = opened.header
        assert sealing_keys_of(header) == (load_key(key).key_id,)
        assert len(secret_of(opened, key)) == 32
        with pytest.raises(OtherKey):
            secret_of(opened, in_memory / "other.key")


@pytest.mark.usefixtures("backup")
def test_a_previous_sealing_key_opens_what_it_could_open_then(site: Installation, in_memory: Path) -> None:
    """Its time is over since long: the operator still has it, and perhaps nothing else."""
    vault = vault_of(site.loaded, lambda: NOW, unheard)
    assert vault is not None
    vault.succeed(AeadSealer(create_key(in_memory / "next.key")), "next.key", NOW + timedelta(seconds=1))
    site.backed_up(in_memory / "two.pxbackup")
    for key in (site.directory / "sealing.key", in_memory / "next.key"):
        with OpenBackup.at(in_memory / "two.pxbackup") as opened:
            assert len(secret_of(opened, key)) == 32


def test_a_backup_of_others_is_refused_although_it_opens(site: Installation, backup: Path, in_memory: Path) -> None:
    """Everybody who has seen one backup can encrypt another to its recovery key; nobody else can sign it."""
    with OpenBackup.at(backup) as opened:
        ours = opened.header
    forger = BackupKeys.kept(in_memory / "forger", AeadSealer(HeldKey(bytes(32))))
    creation = site.creation()
    forged = type(creation)(
        creation.contents, forger, creation.recipients, ours.files, "1.2.3", creation.node, creation.now
    )
    with (in_memory / "forged").open("wb") as out:
        forged.write(out, nothing)
    with OpenBackup.at(in_memory / "forged") as opened, pytest.raises(BackupDamaged, match="another key has signed"):
        secret_of(opened, site.directory / "sealing.key")


def test_where_no_sealing_key_opens_it_shares_do_not_help(in_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Installation.made(in_memory / "other")
    site.write("safe.pub", PrivateRecipient.generate(RecipientKem.MLKEM768_X25519).public.pem())
    monkeypatch.setattr("certs.backup.keys.is_quantum_safe", lambda _: False)  # as by a key pair in a token
    with pytest.raises(RecipientRefused, match="the sealing key is a key pair"):
        site.creation()
    manifest = site.backed_up(in_memory / "two.pxbackup", site.directory / "safe.pub")
    assert len(manifest.recipients) == 1
    with OpenBackup.at(in_memory / "two.pxbackup") as opened:
        assert (sealing_keys_of(opened.header), dict(opened.header.files)) == ((), {})
        with pytest.raises(NoRecoveryKey, match="--key"):
            secret_of(opened, site.directory / "sealing.key")


def test_a_header_of_others_is_damaged() -> None:
    with pytest.raises(BackupDamaged):
        sealing_keys_of(Header({}, {"keys.sealed": b"PXKEYS"}))
