"""The hierarchy on a disk."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from certs.files.file_lock import StillLocked, locked
from certs.hierarchy.document import Document
from certs.hierarchy.hierarchy import Hierarchy, HierarchyError, Transition
from certs.hierarchy.key import IllegalStep, KeyState, KeyTransition, QuotaExhausted
from certs.hierarchy.store import HierarchyStore, StoreDamaged
from certs.sealing.envelope import Purpose
from certs.sealing.files import SealedFileUnusable, write_sealed
from certs.sealing.sealer import Sealer
from tests.certs.hierarchy.test_hierarchy import NOW
from tests.certs.sealing.sealers import SEALERS, direct


@dataclass
class Counting:
    """A sealer that counts what it sealed."""

    inner: Sealer = field(default_factory=direct)
    sealed: int = 0

    @property
    def key_id(self) -> bytes:
        return self.inner.key_id

    def seal(self, plain: bytes, label: str) -> bytes:
        self.sealed += 1
        return self.inner.seal(plain, label)

    def open(self, sealed: bytes, label: str) -> bytes:
        return self.inner.open(sealed, label)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hierarchy.sealed"


def chat(keys: Hierarchy) -> Hierarchy:
    return keys.founded(NOW).with_purpose("tickets", NOW, quota=25)


def secrets(store: HierarchyStore) -> dict[str, bytes]:
    return store.opened()[1]


@pytest.mark.parametrize("name", SEALERS)
def test_secrets_are_the_same_for_every_process_and_sealed_on_disk(path: Path, name: str) -> None:
    store = HierarchyStore(path, SEALERS[name])
    done = store.change(chat)
    assert Transition("plexigate/tickets:1", KeyTransition.ACTIVATE) in done
    secret = secrets(store)["plexigate/tickets:1"]
    assert secrets(HierarchyStore(path, SEALERS[name])) == {"plexigate/tickets:1": secret}
    assert len(secret) == 32
    assert b"tickets" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_rotation_gives_new_secrets_and_keeps_the_old(path: Path) -> None:
    store = HierarchyStore(path, direct())
    store.change(chat)
    old = secrets(store)["plexigate/tickets:1"]
    store.change(lambda keys: keys.rotated(NOW + timedelta(1)))
    assert secrets(store)["plexigate/tickets:1"] == old != secrets(store)["plexigate/tickets:2"]
    assert store.read().active("tickets").version == 2


def test_destroyed_is_gone_from_the_file(path: Path) -> None:
    store = HierarchyStore(path, direct())
    store.change(chat)
    store.change(lambda keys: keys.rotated(NOW))
    assert store.change(lambda keys: keys.destroyed("plexigate/tickets:1", NOW)) == (
        Transition("plexigate/tickets:1", KeyTransition.DESTROY),
    )
    assert list(secrets(store)) == ["plexigate/tickets:2"]
    store.change(lambda keys: keys.destroyed("plexigate:1", NOW))
    content = Document.parse(direct().open(path.read_bytes(), Purpose.KEY_HIERARCHY.label("domains")))
    assert list(content.secrets) == ["plexigate:2"]
    assert content.hierarchy["plexigate:1"].state is KeyState.DESTROYED


def test_what_is_refused_writes_nothing(path: Path) -> None:
    store = HierarchyStore(path, direct())
    store.change(chat)
    before = path.read_bytes()
    with pytest.raises(IllegalStep):
        store.change(lambda keys: keys.destroyed("plexigate/tickets:1", NOW))
    with pytest.raises(HierarchyError):
        store.change(chat)
    assert path.read_bytes() == before


def test_uses_are_counted_ahead_and_never_too_low(path: Path) -> None:
    sealer = Counting()
    store = HierarchyStore(path, sealer, block=10)
    store.change(chat)
    writes = sealer.sealed
    for use in range(1, 26):
        store.use("plexigate/tickets:1")
        assert store.read()["plexigate/tickets:1"].uses >= use
    assert sealer.sealed == writes + 3
    with pytest.raises(QuotaExhausted, match="0 are left"):
        store.use("plexigate/tickets:1")


def test_a_process_that_ends_has_used_what_it_took(path: Path) -> None:
    HierarchyStore(path, direct()).change(chat)
    HierarchyStore(path, direct(), block=20).use("plexigate/tickets:1")
    other = HierarchyStore(path, direct(), block=20)
    for _ in range(5):
        other.use("plexigate/tickets:1")
    with pytest.raises(QuotaExhausted):
        other.use("plexigate/tickets:1")


def test_without_a_quota_uses_are_counted_too(path: Path) -> None:
    store = HierarchyStore(path, direct(), block=10)
    store.change(lambda keys: chat(keys).with_purpose("payload", NOW))
    store.use("plexigate/payload:1")
    assert store.read()["plexigate/payload:1"].uses == 10


def test_two_processes_do_not_change_it_at_once(path: Path) -> None:
    store = HierarchyStore(path, direct(), lock_seconds=0.02)
    with locked(Path(f"{path}.lock"), 0), pytest.raises(StillLocked):
        store.change(chat)
    assert not path.exists()


def test_errors_name_the_file(path: Path) -> None:
    write_sealed(path, b"{}", Purpose.KEY_HIERARCHY.label("domains"), direct())
    with pytest.raises(StoreDamaged, match=r'"[^"]*hierarchy\.sealed" cannot be read: it is not a key hierarchy'):
        HierarchyStore(path, direct()).read()
    hierarchy = chat(Hierarchy())
    write_sealed(path, Document(hierarchy, {}).encode(), Purpose.KEY_HIERARCHY.label("domains"), direct())
    with pytest.raises(StoreDamaged, match="the secret of key plexigate:1 is missing"):
        secrets(HierarchyStore(path, direct()))
    with pytest.raises(SealedFileUnusable, match=r"hierarchy\.sealed.* is sealed with the key"):
        HierarchyStore(path, direct(bytes(32))).read()
