"""What rests of an account tells nobody its key."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from certs.acme.client.accounts import AccountDamaged, AcmeAccount, FileAccountStore
from certs.acme.client.sealed_accounts import AccountOutOfReach, FleetAccountStore, SealedAccountStore
from certs.issuing.issuer import NotShared
from certs.sealing.own_key import OwnKeySealer
from certs.storage.disk import Disk

CA = "https://ca.test/dir"


def store(directory: Path) -> SealedAccountStore:
    sealer = OwnKeySealer(directory / "sealing.key", Disk())
    return SealedAccountStore(FileAccountStore(directory / "accounts"), sealer)


def file_of(directory: Path) -> Path:
    (path,) = (directory / "accounts").iterdir()
    return path


def test_an_account_comes_back_and_rests_sealed(tmp_path: Path) -> None:
    assert store(tmp_path).load(CA) is None
    account = AcmeAccount.fresh(CA).registered_as("https://ca.test/1")
    store(tmp_path).save(CA, account.to_document())
    document = store(tmp_path).load(CA)
    assert document == account.to_document()
    rests = file_of(tmp_path).read_bytes()
    assert b"PRIVATE KEY" not in rests
    assert b"https://ca.test/1" not in rests


def test_one_of_another_ca_in_its_place_is_refused(tmp_path: Path) -> None:
    store(tmp_path).save(CA, b"document")
    other = "https://other.test/dir"
    store(tmp_path).save(other, b"another")
    first, second = sorted((tmp_path / "accounts").iterdir())
    first.write_bytes(second.read_bytes())
    with pytest.raises(AccountDamaged):
        [store(tmp_path).load(one) for one in (CA, other)]


def test_an_account_in_the_clear_is_not_taken_for_a_sealed_one(tmp_path: Path) -> None:
    store(tmp_path).save(CA, b"document")
    file_of(tmp_path).write_bytes(AcmeAccount.fresh(CA).to_document())
    with pytest.raises(AccountDamaged):
        store(tmp_path).load(CA)


def test_a_sealing_key_that_is_away_is_told(tmp_path: Path) -> None:
    store(tmp_path).save(CA, b"document")
    (tmp_path / "sealing.key").chmod(0o644)
    with pytest.raises(AccountOutOfReach, match=r"the account of https://ca\.test/dir cannot be sealed or opened now"):
        store(tmp_path).load(CA)
    with pytest.raises(AccountOutOfReach):
        store(tmp_path).save(CA, b"another")
    (tmp_path / "sealing.key").chmod(0o600)
    assert store(tmp_path).load(CA) == b"document"


@dataclass
class Fleet:
    """What a fleet shares; `fault` is why it takes nothing."""

    documents: dict[str, bytes] = field(default_factory=dict)
    fault: str | None = None

    def load(self, directory: str) -> bytes | None:
        return self.documents.get(directory)

    def save(self, directory: str, document: bytes) -> None:
        if self.fault is not None:
            raise NotShared(self.fault)
        self.documents[directory] = document


def test_a_fleet_takes_the_account_of_its_first_node_and_no_other_one(tmp_path: Path) -> None:
    first, second, fleet = store(tmp_path / "1"), store(tmp_path / "2"), Fleet()
    first.save(CA, b"first")
    second.save(CA, b"second")
    assert FleetAccountStore(fleet, first).load(CA) == b"first"
    assert FleetAccountStore(fleet, second).load(CA) == b"first"
    assert second.load(CA) == b"second"
    FleetAccountStore(fleet, second).save(CA, b"newer")
    assert FleetAccountStore(fleet, first).load(CA) == b"newer"
    fleet.fault = "etcd is gone"
    with pytest.raises(AccountOutOfReach, match="cannot be shared: etcd is gone"):
        FleetAccountStore(fleet, first).save(CA, b"x")
    assert FleetAccountStore(fleet, first).load("https://other.test") is None
