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
    return keys.with_domain("chat", NOW).with_purpose("chat", "tickets", NOW, quota=25)


@pytest.mark.parametrize("name", SEALERS)
def test_secrets_are_the_same_for_every_process_and_sealed_on_disk(path: Path, name: str) -> None:
    store = HierarchyStore(path, SEALERS[name])
    done = store.change(chat)
    assert Transition("chat/tickets:1", KeyTransition.ACTIVATE) in done
    secret = store.secret("chat/tickets:1")
    assert HierarchyStore(path, SEALERS[name]).secret("chat/tickets:1") == secret
    assert len(secret) == 32
    assert len(store.secret("chat/tickets:1", 80)) == 80
    assert b"tickets" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_rotation_gives_new_secrets_and_keeps_the_old(path: Path) -> None:
    store = HierarchyStore(path, direct())
    store.change(chat)
    old = store.secret("chat/tickets:1")
    store.change(lambda keys: keys.rotated("chat", NOW + timedelta(1)))
    assert store.secret("chat/tickets:1") == old != store.secret("chat/tickets:2")
    assert store.read().active("chat", "tickets").version == 2


def test_destroyed_is_gone_from_the_file(path: Path) -> None:
    store = HierarchyStore(path, direct())
    store.change(chat)
    store.change(lambda keys: keys.rotated("chat", NOW))
    assert store.change(lambda keys: keys.destroyed("chat/tickets:1", NOW)) == (
        Transition("chat/tickets:1", KeyTransition.DESTROY),
    )
    with pytest.raises(HierarchyError, match="is destroyed"):
        store.secret("chat/tickets:1")
    store.change(lambda keys: keys.destroyed("chat:1", NOW))
    content = Document.parse(direct().open(path.read_bytes(), Purpose.KEY_HIERARCHY.label("domains")))
    assert list(content.secrets) == ["chat:2"]
    assert content.hierarchy["chat:1"].state is KeyState.DESTROYED


def test_what_is_refused_writes_nothing(path: Path) -> None:
    store = HierarchyStore(path, direct())
    store.change(chat)
    before = path.read_bytes()
    with pytest.raises(IllegalStep):
        store.change(lambda keys: keys.destroyed("chat/tickets:1", NOW))
    with pytest.raises(HierarchyError):
        store.change(chat)
    assert path.read_bytes() == before


def test_domain_secrets_stay_inside(path: Path) -> None:
    store = HierarchyStore(path, direct())
    store.change(chat)
    with pytest.raises(HierarchyError, match="stays in the store"):
        store.secret("chat:1")
    with pytest.raises(HierarchyError, match="there is no key"):
        store.secret("chat/other:1")


def test_given_keys_are_wrapped_and_replaced(path: Path) -> None:
    store = HierarchyStore(path, direct())
    store.change(chat)
    store.add_wrapped("chat", "mldsa", b"seed one", NOW)
    assert store.secret("chat/mldsa:1") == b"seed one"
    store.change(lambda keys: keys.rotated("chat", NOW))
    store.add_wrapped("chat", "mldsa", b"seed two", NOW)
    keys = store.read()
    assert (store.secret("chat/mldsa:1"), store.secret("chat/mldsa:2")) == (b"seed one", b"seed two")
    assert [key.state for key in keys.versions("chat", "mldsa")] == [KeyState.RETIRED, KeyState.ACTIVE]
    assert keys["chat/mldsa:2"].parent == "chat:2"
    store.change(lambda keys: keys.retired("chat/mldsa:2", NOW))
    store.add_wrapped("chat", "mldsa", b"seed three", NOW)
    assert store.secret("chat/mldsa:3") == b"seed three"
    with pytest.raises(HierarchyError, match="is derived"):
        store.add_wrapped("chat", "tickets", b"seed", NOW)


def test_uses_are_counted_ahead_and_never_too_low(path: Path) -> None:
    sealer = Counting()
    store = HierarchyStore(path, sealer, block=10)
    store.change(chat)
    writes = sealer.sealed
    for use in range(1, 26):
        store.use("chat/tickets:1")
        assert store.read()["chat/tickets:1"].uses >= use
    assert sealer.sealed == writes + 3
    with pytest.raises(QuotaExhausted, match="0 are left"):
        store.use("chat/tickets:1")


def test_a_process_that_ends_has_used_what_it_took(path: Path) -> None:
    HierarchyStore(path, direct()).change(chat)
    HierarchyStore(path, direct(), block=20).use("chat/tickets:1")
    other = HierarchyStore(path, direct(), block=20)
    for _ in range(5):
        other.use("chat/tickets:1")
    with pytest.raises(QuotaExhausted):
        other.use("chat/tickets:1")


def test_without_a_quota_uses_are_counted_too(path: Path) -> None:
    store = HierarchyStore(path, direct(), block=10)
    store.change(lambda keys: chat(keys).with_purpose("chat", "payload", NOW))
    store.use("chat/payload:1")
    assert store.read()["chat/payload:1"].uses == 10


def test_two_processes_do_not_change_it_at_once(path: Path) -> None:
    store = HierarchyStore(path, direct(), lock_seconds=0.02)
    with locked(Path(f"{path}.lock"), 0), pytest.raises(StillLocked):
        store.change(chat)
    assert not path.exists()


def test_errors_name_the_file(path: Path) -> None:
    write_sealed(path, b"{}", Purpose.KEY_HIERARCHY.label("domains"), direct())
    with pytest.raises(StoreDamaged, match=r'"[^"]*hierarchy\.sealed" cannot be read: it is no key hierarchy'):
        HierarchyStore(path, direct()).read()
    hierarchy = chat(Hierarchy())
    write_sealed(path, Document(hierarchy, {}).encode(), Purpose.KEY_HIERARCHY.label("domains"), direct())
    with pytest.raises(StoreDamaged, match="the secret of key chat:1 is missing"):
        HierarchyStore(path, direct()).secret("chat/tickets:1")
    with pytest.raises(SealedFileUnusable, match=r"hierarchy\.sealed.* is sealed with the key"):
        HierarchyStore(path, direct(bytes(32))).read()
