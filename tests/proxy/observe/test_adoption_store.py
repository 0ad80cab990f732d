"""Handshakes by day on disk."""

import json
import stat
from pathlib import Path

import pytest

from config.loading.loader import load
from proxy.observe import adoption_store
from proxy.observe.adoption import Adoption
from proxy.observe.adoption_store import AdoptionStore, AdoptionUnreadable
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.proxy.observe.test_adoption import NOON, document


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    store = AdoptionStore(tmp_path / "new" / "adoption.json")
    assert store.read().days == {}
    store.write(document())
    assert store.read().document(NOON, "one") == document()
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert [file.name for file in store.path.parent.iterdir()] == ["adoption.json"]


def test_file_is_that_of_the_configuration(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    text = MINIMAL_LISTENER + site.identity + MINIMAL_REST + '[rotation]\nstate = "state"\n'
    assert AdoptionStore.of(load(site.write(text))).path == tmp_path / "state" / "adoption.json"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "other content"),
        (b"\xff\x00", "other content"),
        (b"[]", "no table"),
        (b"[" * 100_000, "other content"),
        (b'{"version": 1, "days"', "other content"),
        (b'{"version": 0, "days": {}}', "another version"),
        (b" " * (16 * 1_048_576 + 1), "more than 16_777_216 bytes"),
    ],
)
def test_anything_else_is_set_aside(tmp_path: Path, content: bytes, found: str) -> None:
    store = AdoptionStore(tmp_path / "adoption.json")
    for _ in range(2):  # the second one replaces the first
        store.path.write_bytes(content)
        with pytest.raises(AdoptionUnreadable) as caught:
            store.read()
        assert found in caught.value.found
        assert str(store.path) in str(caught.value)
        assert store.set_aside() == tmp_path / "adoption.json.damaged"
    assert [file.name for file in tmp_path.iterdir()] == ["adoption.json.damaged"]
    assert store.read().days == {}


def test_oldest_days_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, written = AdoptionStore(tmp_path / "adoption.json"), document()
    monkeypatch.setattr(adoption_store, "_MOST_BYTES", len(json.dumps(written)) - 200)
    store.write(written)
    assert list(store.read().days) == ["2026-11-29"]
    assert sorted(written["days"]) == ["2026-11-28", "2026-11-29"]
    monkeypatch.setattr(adoption_store, "_MOST_BYTES", 1)
    store.write(Adoption().document(NOON, "one"))  # it cannot be smaller


def test_failed_write_leaves_what_there_was(tmp_path: Path) -> None:
    store = AdoptionStore(tmp_path / "adoption.json")
    store.path.mkdir()
    with pytest.raises(IsADirectoryError):
        store.write(document())
    assert [file.name for file in tmp_path.iterdir()] == ["adoption.json"]
