"""Rings on the disk: sealed, replaced as a whole, refused when they are not what was written."""

import dataclasses
from pathlib import Path

import pytest

from certs.sealing.key_file import create_key, load_key
from certs.sealing.sealer import AeadSealer
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from config.values.problems import ConfigError
from proxy.payload.keys.keyring import PayloadKeyState
from proxy.payload.keys.payload_keys import TICKETS, PayloadKeys, kem_ring
from proxy.supervisor.secrets.payload_store import (
    PayloadStore,
    PayloadStoreUnusable,
    payload_directory,
    payload_keys,
    store_problems,
)
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from tests.payloads import NOW, ring
from tests.proxy.payload.keys.test_suite_table import installed, missing

KEM = kem_ring("MLKEM768-X25519")
PAYLOAD = {"directory": "state", "ring": {"chat": {}}, "sessions": {}}


def loaded(place: Path, **payload: object) -> LoadedConfig:
    return LoadedConfig(Config.model_validate({"payload": {**PAYLOAD, **payload}}), ConfigFile(place / "p.toml"))


def opened(settings: LoadedConfig) -> PayloadStore:
    directory = payload_directory(settings.file, settings.config.payload, settings.config.sealing)
    return PayloadStore.open(directory, None)


def made(of: LoadedConfig, now: float = NOW) -> PayloadKeys:
    keys, warnings = payload_keys(of, {}, now, None)
    assert warnings == []
    return keys


def test_every_ring_is_made_once_and_read_again(tmp_path: Path) -> None:
    first = made(loaded(tmp_path))
    assert set(first.rings) == {"chat", TICKETS, KEM}
    assert {path.name for path in (tmp_path / "state").iterdir()} == {
        "sealing.key", "ring-chat.sealed", "tickets.sealed", "kem-MLKEM768-X25519.sealed", "identity.sealed",
    }  # fmt: skip
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "state").rglob("*"))
    again = made(loaded(tmp_path), NOW + 5)
    assert again.rings == first.rings
    identity = opened(loaded(tmp_path)).identity()
    assert identity.pinned.verified(first.document, NOW) == identity.pinned.verified(again.document, NOW + 5)


def test_what_is_known_goes_before_what_rests(tmp_path: Path) -> None:
    made(loaded(tmp_path))
    assert payload_keys(loaded(tmp_path), {"chat": ring(2)}, NOW, None)[0].rings["chat"] == ring(2)


def test_nothing_is_touched_that_is_not_needed(tmp_path: Path) -> None:
    plain = LoadedConfig(Config(), ConfigFile(tmp_path / "p.toml"))
    assert made(plain) == PayloadKeys()
    assert store_problems(plain, None) == []
    (warning,) = store_problems(loaded(tmp_path), None)
    assert (warning.is_error, warning.key) == (False, "payload.directory")
    assert list(tmp_path.iterdir()) == []


def test_check_makes_nothing_in_a_directory_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    assert [problem.is_error for problem in store_problems(loaded(tmp_path), None)] == [False]
    assert list((tmp_path / "state").iterdir()) == []
    made(loaded(tmp_path))
    (tmp_path / "state/sealing.key").unlink()
    assert "sealing.key" in store_problems(loaded(tmp_path), None)[1].found
    assert not (tmp_path / "state/sealing.key").exists()


def test_what_is_only_looked_at_is_read_and_not_kept(tmp_path: Path) -> None:
    looked, _ = payload_keys(loaded(tmp_path), {}, NOW, None, makes=False)
    assert set(looked.rings) == {"chat", TICKETS, KEM}
    assert looked.document
    assert list(tmp_path.iterdir()) == []
    there = made(loaded(tmp_path))
    more = loaded(tmp_path, ring={"chat": {}, "other": {}})
    again, _ = payload_keys(more, {}, NOW, None, makes=False)
    assert {name: again.rings[name] for name in there.rings} == there.rings
    assert "other" in again.rings
    assert not (tmp_path / "state/ring-other.sealed").exists()


def test_place_is_that_of_what_is_sealed_unless_it_has_its_own(tmp_path: Path) -> None:
    sealing = {"key": "other.key", "directory": "vault"}
    config = Config.model_validate({"payload": {**PAYLOAD, "directory": None}, "sealing": sealing})
    assert (
        payload_directory(
            (given := LoadedConfig(config, ConfigFile(tmp_path / "p.toml"))).file,
            given.config.payload,
            given.config.sealing,
        )
        == tmp_path / "vault/payload"
    )
    assert (
        payload_directory((given := loaded(tmp_path)).file, given.config.payload, given.config.sealing)
        == tmp_path / "state"
    )


def test_nothing_secret_is_in_the_files(tmp_path: Path) -> None:
    keys = made(loaded(tmp_path))
    content = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    for one in keys.rings.values():
        assert one.active.secret not in content
        assert one.active.secret.hex().encode() not in content


def test_key_of_sealing_seals_where_there_is_one(tmp_path: Path) -> None:
    create_key(tmp_path / "other.key")
    sealing = {"key": "other.key", "directory": "vault"}
    config = Config.model_validate({"payload": PAYLOAD, "sealing": sealing})
    settings = LoadedConfig(config, ConfigFile(tmp_path / "p.toml"))
    vault = Safe(now_in_utc).vault(settings)
    keys, _ = payload_keys(settings, {}, NOW, vault)
    assert not (tmp_path / "state/sealing.key").exists()
    assert payload_keys(settings, {}, NOW, Safe(now_in_utc).vault(settings))[0].rings == keys.rings
    assert store_problems(settings, vault) == []
    assert [problem.is_error for problem in store_problems(loaded(tmp_path), None)] == [False, True]


@pytest.mark.parametrize("file", ["ring-chat.sealed", "identity.sealed"])
def test_file_of_another_is_refused(tmp_path: Path, file: str) -> None:
    made(loaded(tmp_path))
    (tmp_path / "state" / file).write_bytes((tmp_path / "state/tickets.sealed").read_bytes())
    with pytest.raises(ConfigError) as caught:
        made(loaded(tmp_path))
    (problem,) = caught.value.problems
    assert problem.key == "payload.directory"
    assert "payload keyring: :tickets" in problem.found
    if file == "ring-chat.sealed":
        assert "payload keyring: :tickets" in store_problems(loaded(tmp_path), None)[1].found


@pytest.mark.parametrize(
    ("stem", "content", "words"),
    [("ring-chat", b"{}", "no ring"), ("ring-chat", b"{", "no JSON"), ("identity", b"{}", "no identity")],
)
def test_content_that_is_not_ours_is_refused(tmp_path: Path, stem: str, content: bytes, words: str) -> None:
    made(loaded(tmp_path))
    sealer = AeadSealer(load_key(tmp_path / "state/sealing.key"))
    label = "payload keyring: " + stem.removeprefix("ring-")
    (tmp_path / f"state/{stem}.sealed").write_bytes(sealer.seal(content, label))
    with pytest.raises(ConfigError, match=words):
        made(loaded(tmp_path))


def test_key_that_others_may_read_and_places_that_are_not_there_are_refused(tmp_path: Path) -> None:
    made(loaded(tmp_path))
    (tmp_path / "state/sealing.key").chmod(0o644)
    with pytest.raises(ConfigError, match="mode 0644"):
        made(loaded(tmp_path))
    assert "mode 0644" in store_problems(loaded(tmp_path), None)[1].found
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="File exists"):
        made(loaded(tmp_path, directory="file"))


def test_write_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    made(loaded(tmp_path))
    store = opened(loaded(tmp_path))
    before = store.read("chat")
    gone = dataclasses.replace(store, directory=tmp_path / "gone")
    with pytest.raises(PayloadStoreUnusable, match="No such file"):
        gone.write(ring(2))
    assert store.read("chat") == before
    store.write(ring(2))
    assert store.read("chat") == ring(2)


def test_ring_of_another_variant_is_retired_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade of liboqs from 0.15 to 0.16, whose FrodoKEM-976-AES is another one."""
    suite, settings = "X25519-FrodoKEM976", loaded(tmp_path, sessions={"suites": ["X25519-FrodoKEM976"]})
    installed(monkeypatch)
    before = made(settings).rings[kem_ring(suite)]
    store = opened(settings)
    store.write(dataclasses.replace(before, variant="FrodoKEM-976-AES/1184/1072"))
    (_, warning) = store_problems(settings, None)
    keys, (told,) = payload_keys(settings, {}, NOW + 1, None)
    assert warning == told
    assert "FrodoKEM-976-AES/1184/1072" in told.found
    after = keys.rings[kem_ring(suite)]
    assert (after.active.version, [key.state for key in after.ended]) == (2, [PayloadKeyState.RETIRED])
    assert made(settings, NOW + 2).rings[kem_ring(suite)] == after, "it is written"


def test_suite_that_is_not_here_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch)
    with pytest.raises(ConfigError, match="liboqs"):
        made(loaded(tmp_path, sessions={"suites": ["X25519-HQC256"]}))
    assert list(tmp_path.iterdir()) == []
