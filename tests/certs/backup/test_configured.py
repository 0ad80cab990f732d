"""Who can open the backup of a configuration, and that somebody can."""

from datetime import timedelta
from pathlib import Path

import pytest

from certs.audit.entries import unheard
from certs.backup.configured import RecipientRefused
from certs.backup.opened import OpenBackup
from certs.backup.unsealing import sealing_keys_of
from certs.hierarchy.configured import vault_of
from certs.sealing.errors import KeyUnavailable
from certs.sealing.key_file import create_key
from certs.sealing.recipients import PrivateRecipient, RecipientKem
from certs.sealing.sealer import AeadSealer
from tests.backups import CONFIGURATION, NOW, Installation

SEALING = '[sealing]\nkey = "sealing.key"\ndirectory = "state"\n'


def recipient(site: Installation, name: str, kem: RecipientKem = RecipientKem.MLKEM768_X25519) -> PrivateRecipient:
    key = PrivateRecipient.generate(kem)
    site.write(name, key.public.pem())
    return key


def test_recipients_are_those_of_the_configuration_and_of_the_command(in_memory: Path) -> None:
    site = Installation.made(in_memory / "site", configuration=CONFIGURATION + '[backup]\nrecipients = ["first.pub"]\n')
    first = recipient(site, "first.pub")
    second = recipient(site, "second.pub", RecipientKem.MLKEM1024_P384)
    manifest = site.backed_up(in_memory / "one", site.directory / "second.pub")
    assert list(manifest.recipients)[1:] == [first.public.id, second.public.id]
    assert list(manifest.recipients.values()) == ["MLKEM768-X25519", "MLKEM768-X25519", "MLKEM1024-P384"]
    with OpenBackup.at(in_memory / "one") as backup:
        header = backup.header
        assert header.opened([first]) == header.opened([second])


def test_the_recovery_key_of_a_quantum_safe_listener_is_stronger_and_weaker_ones_are_refused(in_memory: Path) -> None:
    text = CONFIGURATION.replace("[sealing]", 'level = "quantum-safe"\n[sealing]')
    site = Installation.made(in_memory / "site", configuration=text)
    assert list(site.backed_up(in_memory / "one").recipients.values()) == ["MLKEM1024-P384"]
    recipient(site, "weak.pub")
    with pytest.raises(RecipientRefused, match="--quantum-safe"):
        site.creation(site.directory / "weak.pub")


def test_without_a_sealing_key_a_recipient_is_needed(in_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(in_memory / "state"))
    site = Installation.made(in_memory / "site", configuration=CONFIGURATION.replace(SEALING, ""))
    with pytest.raises(RecipientRefused, match="nobody could open"):
        site.creation()
    key = recipient(site, "safe.pub")
    site.backed_up(in_memory / "one", site.directory / "safe.pub")
    with OpenBackup.at(in_memory / "one") as backup:
        header = backup.header
        assert len(header.opened([key])) == 32
        assert sealing_keys_of(header) == ()


@pytest.mark.parametrize(
    ("has_shares", "told"),
    [(False, "it has no recovery shares"), (True, "bring it back: "), (None, "bring it back, if hsm init made some: ")],
)
def test_a_backup_says_whether_shares_bring_the_sealing_key_back(
    site: Installation, *, has_shares: bool | None, told: str
) -> None:
    (site.directory / "sealing.key").unlink()
    create_key(site.directory / "sealing.key", has_shares=has_shares)
    recipient(site, "safe.pub")
    left_out = site.creation(site.directory / "safe.pub").contents.left_out[0]
    assert left_out.what == f"the sealing key {site.directory}/sealing.key"
    assert told in left_out.remedy


def test_a_sealing_key_without_shares_is_not_enough(site: Installation, in_memory: Path) -> None:
    """A loss of the machine is one of the key: nobody could open the backup then."""
    (site.directory / "sealing.key").unlink()
    create_key(site.directory / "sealing.key", has_shares=False)
    with pytest.raises(RecipientRefused, match=r"has no recovery shares; allowed: --to FILE .*hsm rotate-sealing\)"):
        site.creation()
    vault = vault_of(site.loaded, lambda: NOW, unheard)
    assert vault is not None
    newest = AeadSealer(create_key(in_memory / "next.key", has_shares=True))
    vault.succeed(newest, "next.key", NOW + timedelta(30))
    assert [one.what for one in site.creation().contents.left_out[:2]] == [
        "the sealing key next.key",
        f"the sealing key {site.directory}/sealing.key",
    ]


def test_keys_from_before_there_was_a_sealing_key_stay(in_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(in_memory / "site/state"))
    site = Installation.made(in_memory / "site", configuration=CONFIGURATION.replace(SEALING, ""))
    recipient(site, "safe.pub")
    before = site.backed_up(in_memory / "one", site.directory / "safe.pub")
    site.path.write_text(CONFIGURATION)
    after = site.backed_up(in_memory / "two")
    assert after.signer == before.signer


def test_a_file_that_is_no_key_is_named(site: Installation) -> None:
    with pytest.raises(RecipientRefused, match=r"users: found no PEM and no PUBLIC KEY; allowed: two blocks"):
        site.creation(site.directory / "users")
    with pytest.raises(RecipientRefused, match=r"tls: Is a directory"):
        site.creation(site.directory / "tls")


def test_without_the_sealing_key_none_is_made(site: Installation, in_memory: Path) -> None:
    site.backed_up(in_memory / "one")
    (site.directory / "sealing.key").unlink()
    with pytest.raises((KeyUnavailable, Exception), match="cannot be"):
        site.creation()
