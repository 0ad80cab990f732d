"""The power is lost at every step of a change to the keys below the sealing key: each time they are whole."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from certs.hierarchy.resealing import reseal
from certs.hierarchy.sealed_files import sealed_files
from certs.hierarchy.vault import Vault
from certs.sealing.envelope import Purpose
from certs.sealing.errors import KeyUnavailable, OtherKey
from certs.sealing.key_file import create_key, load_key
from certs.sealing.master import Master
from certs.sealing.sealer import AeadSealer
from tests.certs.crashes import cut_off
from tests.certs.hierarchy.test_hierarchy import NOW

LABEL = Purpose.CREDENTIAL_KEY.label("one")
UNTIL = NOW + timedelta(30)


def vault(place: Path, name: str = "sealing.key") -> Vault:
    return Vault(Master(place / name), place, lambda: NOW, lambda *_: None, list)


def opened(place: Path, name: str) -> bytes:
    content = (place / "one.sealed").read_bytes()
    return vault(place, name).sealer(Purpose.CREDENTIAL_KEY).open(content, LABEL)


def prepared(place: Path) -> None:
    """A file that the first of two versions has sealed, and the next sealing key."""
    create_key(place / "sealing.key")
    create_key(place / "next.key")
    (place / "one.sealed").write_bytes(vault(place).sealer(Purpose.CREDENTIAL_KEY).seal(b"secret", LABEL))
    vault(place).rotate()


def succeeded(place: Path) -> None:
    vault(place).succeed(AeadSealer(load_key(place / "next.key")), "next.key", UNTIL)


def resealed(place: Path) -> None:
    (one,) = sealed_files([place / "one.sealed"], [])
    reseal(vault(place), one)


def with_successor(place: Path) -> None:
    prepared(place)
    succeeded(place)


def with_new_seal(place: Path) -> None:
    prepared(place)
    resealed(place)


@pytest.mark.parametrize(
    ("prepare", "work", "opener", "says_done"),
    [
        (prepared, lambda place: vault(place).rotate(), "sealing.key", None),
        (prepared, succeeded, "sealing.key", "is the previous sealing key"),
        (prepared, resealed, "sealing.key", None),
        (with_new_seal, lambda place: vault(place).destroy(["plexigate/credentials:1"]), "sealing.key", "is destroyed"),
        (with_successor, lambda place: vault(place, "next.key").end_previous(), "next.key", None),
    ],
    ids=["rotate", "succeed", "reseal", "destroy", "end_previous"],
)
def test_what_was_sealed_opens_at_every_moment_and_the_work_can_be_done_again(
    tmp_path: Path,
    prepare: Callable[[Path], None],
    work: Callable[[Path], object],
    opener: str,
    says_done: str | None,
) -> None:
    lost = []
    said = []
    for step, place in cut_off(work, tmp_path, prepare):
        lost.append(step)
        assert opened(place, opener) == b"secret"
        try:
            work(place)
        except KeyUnavailable as error:
            said.append(error.why)  # the step that counts was made
        assert opened(place, opener) == b"secret"
    assert all(says_done is not None and says_done in one for one in said)
    assert "rename" in lost
    assert lost[-1] == "nothing"


def test_the_next_sealing_key_opens_all_or_nothing(tmp_path: Path) -> None:
    found = set[object]()
    for _, place in cut_off(succeeded, tmp_path, prepared):
        try:
            found.add(opened(place, "next.key"))
        except KeyUnavailable as error:
            found.add(type(error.cause))
    assert found == {b"secret", OtherKey}
