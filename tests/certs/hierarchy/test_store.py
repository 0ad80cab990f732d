"""The hierarchy on a disk."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from certs.files.file_lock import StillLocked, locked
from certs.hierarchy.document import Document, SealingKeyRecord
from certs.hierarchy.file_sealer import FileSealer, sealing_key_ids
from certs.hierarchy.hierarchy import Hierarchy, HierarchyError, Transition
from certs.hierarchy.key import IllegalStep, KeyState, KeyTransition, QuotaExhausted
from certs.hierarchy.store import LABEL, HierarchyStore, StoreDamaged
from certs.sealing.errors import NotSealed, OtherKey, Tampered
from certs.sealing.files import SealedFileUnusable, write_sealed
from certs.sealing.held_key import HeldKey
from certs.sealing.sealer import AeadSealer, SealingKey
from tests.certs.hierarchy.test_document import FIRST_DOCUMENT
from tests.certs.hierarchy.test_hierarchy import NOW
from tests.certs.sealing.sealers import SEALERS, direct


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hierarchy.sealed"


def chat(keys: Hierarchy) -> Hierarchy:
    return keys.with_purpose("tickets", NOW, quota=25)


def store_of(path: Path, sealer: SealingKey, *, block: int = 1_000, lock_seconds: float = 10.0) -> HierarchyStore:
    return HierarchyStore(path, sealer, "sealing.key", lambda: NOW, block=block, lock_seconds=lock_seconds)


def secrets(store: HierarchyStore) -> Mapping[str, bytes]:
    return store.opened()[1]


@pytest.mark.parametrize("name", SEALERS)
def test_secrets_are_the_same_for_every_process_and_sealed_on_disk(path: Path, name: str) -> None:
    store = store_of(path, SEALERS[name])
    done = store.change(chat)
    assert Transition("plexigate/tickets:1", KeyTransition.ACTIVATE) in done
    secret = secrets(store)["plexigate/tickets:1"]
    assert secrets(store_of(path, SEALERS[name])) == {"plexigate/tickets:1": secret}
    assert len(secret) == 32
    assert b"tickets" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_rotation_gives_new_secrets_and_keeps_the_old(path: Path) -> None:
    store = store_of(path, direct())
    store.change(chat)
    old = secrets(store)["plexigate/tickets:1"]
    store.change(lambda keys: keys.rotated(NOW + timedelta(1), ("tickets",)))
    assert secrets(store)["plexigate/tickets:1"] == old != secrets(store)["plexigate/tickets:2"]
    assert store.read().active("tickets").version == 2


def test_destroyed_is_gone_from_the_file(path: Path) -> None:
    store = store_of(path, direct())
    store.change(chat)
    store.change(lambda keys: keys.rotated(NOW, ("tickets",)))
    assert store.change(lambda keys: keys.destroyed(NOW, ("plexigate/tickets:1",))) == (
        Transition("plexigate/tickets:1", KeyTransition.DESTROY),
    )
    assert list(secrets(store)) == ["plexigate/tickets:2"]
    content = Document.parse(FileSealer(direct()).open(path.read_bytes(), LABEL))
    assert list(content.secrets) == ["plexigate/tickets:2"]
    assert content.hierarchy["plexigate/tickets:1"].state is KeyState.DESTROYED


def test_what_is_refused_writes_nothing(path: Path) -> None:
    store = store_of(path, direct())
    store.change(chat)
    before = path.read_bytes()
    with pytest.raises(IllegalStep):
        store.change(lambda keys: keys.destroyed(NOW, ("plexigate/tickets:1",)))
    with pytest.raises(HierarchyError):
        store.change(chat)
    assert path.read_bytes() == before


def test_uses_are_counted_ahead_and_never_too_low(path: Path) -> None:
    store = store_of(path, direct(), block=10)
    store.change(chat)
    contents = set[bytes]()
    for use in range(1, 26):
        store.use("plexigate/tickets:1")
        assert store.read()["plexigate/tickets:1"].uses >= use
        contents.add(path.read_bytes())
    assert len(contents) == 3
    with pytest.raises(QuotaExhausted, match="0 are left"):
        store.use("plexigate/tickets:1")


def test_a_process_that_ends_has_used_what_it_took(path: Path) -> None:
    store_of(path, direct()).change(chat)
    store_of(path, direct(), block=20).use("plexigate/tickets:1")
    other = store_of(path, direct(), block=20)
    for _ in range(5):
        other.use("plexigate/tickets:1")
    with pytest.raises(QuotaExhausted):
        other.use("plexigate/tickets:1")


def test_without_a_quota_uses_are_counted_too(path: Path) -> None:
    store = store_of(path, direct(), block=10)
    store.change(lambda keys: chat(keys).with_purpose("payload", NOW))
    store.use("plexigate/payload:1")
    assert store.read()["plexigate/payload:1"].uses == 10


def test_two_processes_do_not_change_it_at_once(path: Path) -> None:
    store = store_of(path, direct(), lock_seconds=0.02)
    with locked(Path(f"{path}.lock"), 0), pytest.raises(StillLocked):
        store.change(chat)
    assert not path.exists()


def test_errors_name_the_file(path: Path) -> None:
    write_sealed(path, b"{}", LABEL, direct())
    with pytest.raises(StoreDamaged, match=r'"[^"]*hierarchy\.sealed" cannot be read: it is not a key hierarchy'):
        store_of(path, direct()).read()
    hierarchy = chat(Hierarchy())
    write_sealed(path, Document(hierarchy, {}).encode(), LABEL, direct())
    with pytest.raises(StoreDamaged, match="the secret of key plexigate/tickets:1 is missing"):
        secrets(store_of(path, direct()))
    with pytest.raises(SealedFileUnusable, match=r"hierarchy\.sealed.* is sealed with the key"):
        store_of(path, direct(bytes(32))).read()


class TestSealingKeysInTurn:
    """Several versions of the sealing key."""

    NEXT = direct(bytes(reversed(range(32))))
    UNTIL = NOW + timedelta(30)

    def store(self, path: Path, *, sealer: SealingKey | None = None, now: datetime = NOW) -> HierarchyStore:
        return HierarchyStore(path, sealer or self.NEXT, "next.key", lambda: now)

    @pytest.mark.parametrize("name", SEALERS)
    def test_both_open_and_write_until_the_time_of_the_former_is_over(self, path: Path, name: str) -> None:
        previous = store_of(path, SEALERS[name])
        previous.change(chat)
        secret = secrets(previous)
        (told,) = previous.succeed(self.NEXT, "next.key", self.UNTIL)
        has_shares = None if name == "direct" else False
        assert told == SealingKeyRecord(SEALERS[name].key_id, "sealing.key", NOW, self.UNTIL, has_shares)
        assert sealing_key_ids(path.read_bytes()) == (self.NEXT.key_id, SEALERS[name].key_id)
        assert secrets(self.store(path)) == secrets(store_of(path, SEALERS[name])) == secret
        store_of(path, SEALERS[name]).change(lambda keys: keys.rotated(NOW, ("tickets",)))
        assert self.store(path).read().active("tickets").version == 2
        assert self.store(path).known == Document()
        late = HierarchyStore(path, SEALERS[name], "sealing.key", lambda: self.UNTIL)
        with pytest.raises(SealedFileUnusable, match=r"that was replaced, until 2026-06-03 00:00 UTC, by next\.key"):
            late.read()
        with pytest.raises(SealedFileUnusable, match="that was replaced"):
            late.change(lambda keys: keys.rotated(NOW, ("tickets",)))
        assert self.store(path, now=self.UNTIL + timedelta(365)).read() == self.store(path).read()

    def test_the_former_opens_nothing_after_its_end_with_copies_of_the_file_key_either(self, path: Path) -> None:
        previous = store_of(path, direct())
        previous.change(chat)
        previous.succeed(self.NEXT, "next.key", self.UNTIL)
        kept = FileSealer(direct())
        kept.open(path.read_bytes(), LABEL)  # whoever had the previous key may have the file key
        store = self.store(path)
        (ended,) = store.end_previous()
        assert (ended.name, [one.name for one in store.known.sealing_keys]) == ("sealing.key", ["next.key"])
        content = path.read_bytes()
        assert sealing_key_ids(content) == (self.NEXT.key_id,)
        with pytest.raises(SealedFileUnusable, match="is sealed with the key"):
            store_of(path, direct()).read()
        wraps = kept.seal(b"", LABEL)[: -len(AeadSealer(HeldKey(bytes(32))).seal(b"", LABEL))]
        forged = wraps + content[content.rindex(b"PXSEAL") :]
        with pytest.raises((Tampered, OtherKey)):
            FileSealer(direct()).open(forged, LABEL)
        assert store.end_previous() == ()

    def test_a_third_one_ends_the_first(self, path: Path) -> None:
        third = direct(bytes(32))
        store_of(path, direct()).change(chat)
        store_of(path, direct()).succeed(self.NEXT, "next.key", self.UNTIL)
        ended = self.store(path).succeed(third, "third.key", self.UNTIL)
        assert [one.name for one in ended] == ["next.key", "sealing.key"]
        assert sealing_key_ids(path.read_bytes()) == (third.key_id, self.NEXT.key_id)

    def test_one_that_was_ended_does_not_come_back(self, path: Path) -> None:
        store_of(path, direct()).change(chat)
        store_of(path, direct()).succeed(self.NEXT, "next.key", self.UNTIL)
        for _ in range(2):
            before = path.read_bytes()
            with pytest.raises(HierarchyError, match=r"sealing\.key was the sealing key before; allowed: a key that n"):
                self.store(path).succeed(direct(), "sealing.key", self.UNTIL)
            assert path.read_bytes() == before
            self.store(path).end_previous()
            self.store(path).change(lambda keys: keys.rotated(NOW, ("tickets",)))

    def test_the_newest_alone_gets_a_successor_and_another_one(self, path: Path) -> None:
        store = store_of(path, direct())
        store.change(chat)
        with pytest.raises(HierarchyError, match=r"next\.key is the sealing key already"):
            store.succeed(direct(), "next.key", self.UNTIL)
        store.succeed(self.NEXT, "next.key", self.UNTIL)
        before = path.read_bytes()
        for refused in (partial(store.succeed, direct(bytes(32)), "third.key", self.UNTIL), store.end_previous):
            with pytest.raises(
                HierarchyError, match=r"sealing\.key is the previous sealing key: name next\.key as sealing\.key"
            ):
                refused()
        assert path.read_bytes() == before

    def test_one_that_does_not_open_what_it_seals_is_not_taken(self, path: Path) -> None:
        class Wrong:
            key_id = bytes(16)
            has_shares = None

            def seal(self, plain: bytes, label: str) -> bytes:
                return direct().seal(plain, label)

            def open(self, sealed: bytes, label: str) -> bytes:
                return direct().open(sealed, label)[::-1]

        store = store_of(path, direct())
        store.change(chat)
        before = path.read_bytes()
        with pytest.raises(Tampered):
            store.succeed(Wrong(), "wrong.key", self.UNTIL)
        assert path.read_bytes() == before
        assert store_of(path, direct()).read() == store.known.hierarchy

    def test_whether_a_key_has_shares_is_noted_when_it_is_known(self, path: Path) -> None:
        store_of(path, direct()).change(chat)
        without = AeadSealer(HeldKey(bytes(range(32)), has_shares=False))
        store_of(path, without).change(lambda keys: keys.rotated(NOW, ("tickets",)))
        present = store_of(path, direct())
        present.read()
        assert [one.has_shares for one in present.known.sealing_keys] == [False]
        present.succeed(AeadSealer(HeldKey(bytes(32), has_shares=True)), "next.key", self.UNTIL)
        assert [one.has_shares for one in present.known.sealing_keys] == [True, False]

    def test_a_file_of_before_opens_and_is_replaced_with_the_next_write(self, path: Path) -> None:
        path.write_bytes(direct().seal(json.dumps(FIRST_DOCUMENT).encode(), LABEL))
        store = store_of(path, direct())
        before = secrets(store)
        assert store.known.sealing_keys == (SealingKeyRecord(direct().key_id, "sealing.key", None),)
        store.change(lambda keys: keys.rotated(NOW, ("payload",)))
        assert before.items() < secrets(store_of(path, direct())).items()
        with pytest.raises(NotSealed):
            direct().open(path.read_bytes(), LABEL)
