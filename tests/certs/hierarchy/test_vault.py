"""Sealing by purpose, with keys below the sealing key."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from certs.audit.entries import Action, Outcome
from certs.hierarchy.key import KeyState
from certs.hierarchy.sealed_files import SealedFile
from certs.hierarchy.store import HierarchyStore
from certs.hierarchy.vault import FILE_NAME, NoKeys, Vault, VersionRefused, retired
from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.facts import KeyAddress
from certs.hsm.secret import Secret
from certs.sealing.envelope import Envelope, Purpose
from certs.sealing.errors import KeyAway, KeyUnavailable, OtherKey, OtherLabel
from certs.sealing.held_key import HeldKey
from certs.sealing.key_file import create_key
from certs.sealing.master import KeyInToken, Master
from certs.sealing.sealer import AeadSealer
from tests.certs.hierarchy.test_hierarchy import NOW

LABEL = Purpose.TICKET_KEYS.label("all")
PURPOSES = (Purpose.TICKET_KEYS, Purpose.CREDENTIAL_KEY, Purpose.PAYLOAD_KEYRING, Purpose.ACME_ACCOUNT)


class Scene:
    """A directory with a sealing key, the vaults of several processes, and what they have told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "state"
        self.key = directory / "sealing.key"
        create_key(self.key)
        self.told: list[tuple[Action, str, Outcome]] = []
        self.needing: list[SealedFile] = []

    def sealed_elsewhere(self) -> bytes:
        """By a key that no vault here knows."""
        return AeadSealer(HeldKey(bytes(32))).seal(b"secret", LABEL)

    def vault(self) -> Vault:
        def tell(action: Action, key: str, outcome: Outcome, _detail: str) -> None:
            self.told.append((action, key, outcome))

        return Vault(Master(self.key), self.directory, lambda: NOW, tell, lambda: self.needing)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_process_opens_what_another_has_sealed_for_the_same_purpose(scene: Scene, purpose: Purpose) -> None:
    sealed = scene.vault().sealer(purpose).seal(b"secret", LABEL)
    sealer = scene.vault().sealer(purpose)
    assert sealer.open(sealed, LABEL) == b"secret"
    assert Envelope.parse(sealed).key_id == sealer.key_id
    with pytest.raises(OtherLabel):
        sealer.open(sealed, "another label")
    for other in set(PURPOSES) - {purpose}:
        with pytest.raises(OtherKey):
            scene.vault().sealer(other).open(sealed, LABEL)
    assert (scene.directory / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_the_sealing_key_is_not_needed_after_the_first_time(scene: Scene) -> None:
    vault = scene.vault()
    sealer = vault.sealer(Purpose.TICKET_KEYS)
    first = sealer.seal(b"first", LABEL)
    scene.key.unlink()
    assert sealer.open(sealer.seal(b"second", LABEL), LABEL) == b"second"
    assert sealer.open(first, LABEL) == b"first"
    with pytest.raises(KeyUnavailable, match="cannot be read"):
        scene.vault().sealer(Purpose.TICKET_KEYS).open(first, LABEL)
    assert scene.told[-1] == (Action.OPEN, str(scene.key), Outcome.FAILED)


def test_what_was_read_before_still_opens_where_the_key_is_away_and_another_process_has_written(scene: Scene) -> None:
    sealer = scene.vault().sealer(Purpose.TICKET_KEYS)
    sealed = sealer.seal(b"secret", LABEL)
    scene.vault().sealer(Purpose.CREDENTIAL_KEY).seal(b"another", LABEL)
    hidden = scene.key.rename(scene.key.with_name("hidden"))
    with pytest.raises(KeyUnavailable, match="cannot be read"):
        sealer.seal(b"secret", LABEL)  # perhaps the key that it knows is destroyed
    with pytest.raises(KeyUnavailable, match="cannot be read"):
        sealer.open(scene.sealed_elsewhere(), LABEL)
    assert sealer.open(sealed, LABEL) == b"secret"
    hidden.rename(scene.key)
    assert sealer.open(sealer.seal(b"again", LABEL), LABEL) == b"again"


def test_a_token_that_is_away_is_asked_once_for_many_keys(scene: Scene) -> None:
    sealed = scene.vault().sealer(Purpose.TICKET_KEYS).seal(b"secret", LABEL)
    away = TokenAccess(scene.directory / "no.so", TokenChoice("plexi"), Secret("1234"), scene.directory)
    times, master = [NOW], Master(KeyInToken(away, KeyAddress("sealing")))
    sealer = Vault(master, scene.directory, lambda: times[-1], lambda *_: None, list).sealer(Purpose.TICKET_KEYS)
    with pytest.raises(KeyAway, match=r"no\.so"):
        sealer.open(sealed, LABEL)
    master.place = scene.key  # it would answer again, but nobody asks it
    with pytest.raises(KeyAway, match=r"^cannot be sealed or opened now: PKCS#11 module .*no\.so"):
        sealer.open(sealed, LABEL)
    with pytest.raises(KeyAway, match=r"no\.so"):
        sealer.seal(b"secret", LABEL)
    times.append(NOW + timedelta(seconds=1))
    assert sealer.open(sealed, LABEL) == b"secret"


def test_uses_are_counted_ahead(scene: Scene) -> None:
    sealer = scene.vault().sealer(Purpose.TICKET_KEYS)
    for _ in range(1_001):
        sealer.seal(b"a", LABEL)
    keys = scene.vault().read().hierarchy
    assert keys["plexigate/tickets:1"].uses == 2_000
    assert keys["plexigate/payload:1"].uses == 0


def test_a_rotation_seals_by_new_keys_and_opens_by_old_ones_in_every_process(scene: Scene) -> None:
    running, command = scene.vault(), scene.vault()
    sealer = running.sealer(Purpose.TICKET_KEYS)
    old = sealer.seal(b"old", LABEL)
    command.rotate()
    new = command.sealer(Purpose.TICKET_KEYS).seal(b"new", LABEL)
    assert Envelope.parse(new).key_id != Envelope.parse(old).key_id
    assert (sealer.open(new, LABEL), sealer.open(old, LABEL)) == (b"new", b"old")
    again = scene.vault()
    assert again.sealer(Purpose.TICKET_KEYS).open(old, LABEL) == b"old"
    assert (Action.RETIRE, "plexigate/tickets:1", Outcome.DONE) in scene.told


def test_a_process_that_sealed_before_a_rotation_goes_on_with_the_new_keys_at_once(scene: Scene) -> None:
    running = scene.vault().sealer(Purpose.TICKET_KEYS)
    before = running.seal(b"a", LABEL)
    scene.vault().rotate()
    after = running.seal(b"a", LABEL)  # although it has taken uses of the old one: that may be destroyed any time
    assert Envelope.parse(after).key_id != Envelope.parse(before).key_id
    assert scene.vault().sealer(Purpose.TICKET_KEYS).open(after, LABEL) == b"a"


@pytest.mark.parametrize("look", [Vault.read, Vault.known, Vault.names_in_envelopes, Vault.end_previous])
def test_a_process_that_looks_at_the_keys_after_a_rotation_seals_by_the_new_ones(
    scene: Scene, look: Callable[[Vault], object]
) -> None:
    vault = scene.vault()
    before = vault.sealer(Purpose.TICKET_KEYS).seal(b"a", LABEL)
    scene.vault().rotate()
    look(vault)
    assert Envelope.parse(vault.sealer(Purpose.TICKET_KEYS).seal(b"a", LABEL)).key_id != Envelope.parse(before).key_id


def test_what_a_destroyed_key_has_sealed_opens_never_again_and_that_of_others_does(scene: Scene) -> None:
    vault = scene.vault()
    old = vault.sealer(Purpose.TICKET_KEYS).seal(b"old", LABEL)
    ring = vault.sealer(Purpose.PAYLOAD_KEYRING).seal(b"ring", LABEL)
    vault.rotate()
    assert vault.names_in_envelopes()[Envelope.parse(old).key_id].id == "plexigate/tickets:1"
    keys = vault.destroy(["plexigate/tickets:1"]).hierarchy
    assert {key.id for key in keys.keys.values() if key.state is KeyState.DESTROYED} == {"plexigate/tickets:1"}
    with pytest.raises(OtherKey):
        vault.sealer(Purpose.TICKET_KEYS).open(old, LABEL)
    assert vault.sealer(Purpose.PAYLOAD_KEYRING).open(ring, LABEL) == b"ring"
    assert scene.told.count((Action.DESTROY, "plexigate/tickets:1", Outcome.DONE)) == 1


def test_which_keys_a_version_means(scene: Scene) -> None:
    vault = scene.vault()
    _ = vault.sealer(Purpose.TICKET_KEYS).key_id
    with pytest.raises(VersionRefused, match=r"version 1: found one that is active; .* there is none \(--rotate"):
        retired(vault.read().hierarchy, 1)
    keys = vault.rotate(("tickets",)).hierarchy
    assert [key.id for key in retired(keys, 1, "tickets")] == ["plexigate/tickets:1"]
    with pytest.raises(VersionRefused, match=r"version 1: found one that is active; allowed: a retired version: 1$"):
        retired(keys, 1)
    with pytest.raises(VersionRefused, match=r"found one that is active; .* there is none"):
        retired(keys, 1, "payload")
    with pytest.raises(VersionRefused, match=r"^version 7: found no such version; allowed: a retired version: 1$"):
        retired(keys, 7)
    keys = vault.destroy(["plexigate/tickets:1"]).hierarchy
    with pytest.raises(VersionRefused, match="found one that is destroyed"):
        retired(keys, 1, "tickets")


def test_one_purpose_is_rotated_alone(scene: Scene) -> None:
    vault = scene.vault()
    before = {purpose: vault.sealer(purpose).key_id for purpose in PURPOSES}
    vault.rotate(("payload",))
    changed = [purpose for purpose in PURPOSES if vault.sealer(purpose).key_id != before[purpose]]
    assert changed == [Purpose.PAYLOAD_KEYRING]


def test_a_key_that_has_no_uses_left_is_rotated_by_its_next_use(scene: Scene) -> None:
    vault = scene.vault()
    sealer = vault.sealer(Purpose.TICKET_KEYS)
    old = sealer.seal(b"old", LABEL)
    store = HierarchyStore(scene.directory / FILE_NAME, Master(scene.key), "sealing.key", lambda: NOW)
    store.change(lambda keys: keys.used("plexigate/tickets:1", 2**32 - keys["plexigate/tickets:1"].uses))
    new = scene.vault().sealer(Purpose.TICKET_KEYS).seal(b"new", LABEL)
    assert vault.read().hierarchy.active("tickets").version == 2
    assert (sealer.open(old, LABEL), sealer.open(new, LABEL)) == (b"old", b"new")
    assert (Action.RETIRE, "plexigate/tickets:1", Outcome.DONE) in scene.told


def test_the_running_process_goes_on_with_both_sealing_keys(scene: Scene, tmp_path: Path) -> None:
    running = scene.vault()
    sealer = running.sealer(Purpose.TICKET_KEYS)
    sealed = sealer.seal(b"a", LABEL)
    other = tmp_path / "other.key"
    (previous,) = scene.vault().succeed(AeadSealer(create_key(other)), str(other), NOW + timedelta(30))
    assert previous.name == str(scene.key)
    assert sealer.open(sealer.seal(b"b", LABEL), LABEL) == b"b"
    document = running.known()
    assert document is not None
    assert [running.is_by(one) for one in document.sealing_keys] == [False, True]
    with pytest.raises(KeyUnavailable, match=r"is the previous sealing key: name .*other\.key as sealing\.key"):
        running.end_previous()
    scene.key.unlink()
    scene.key = other
    assert scene.vault().sealer(Purpose.TICKET_KEYS).open(sealed, LABEL) == b"a"
    assert [one.name for one in scene.vault().end_previous()] == [previous.name]
    assert [(one, outcome) for one, key, outcome in scene.told if key == "sealing key"] == [
        (Action.ROTATE, Outcome.DONE),
        (Action.RETIRE, Outcome.DONE),
    ]


def test_what_is_known_is_read_again_where_another_process_has_changed_it(scene: Scene) -> None:
    vault = scene.vault()
    assert vault.known() is None
    sealer = vault.sealer(Purpose.TICKET_KEYS)
    before = sealer.seal(b"a", LABEL)
    opened = len(scene.told)
    first = vault.known()
    assert vault.known() is first
    assert len(scene.told) == opened
    scene.vault().rotate()
    again = vault.known()
    assert again is not None
    assert again.hierarchy.active("tickets").version == 2
    assert again.secrets == {}
    assert Envelope.parse(sealer.seal(b"a", LABEL)).key_id != Envelope.parse(before).key_id


def test_a_look_makes_no_keys(scene: Scene) -> None:
    for look in (
        scene.vault().read,
        scene.vault().rotate,
        lambda: scene.vault().destroy(["plexigate/tickets:1"]),
        scene.vault().names_in_envelopes,
        scene.vault().end_previous,
    ):
        with pytest.raises(NoKeys, match=r"keys\.sealed. has no keys yet; the first sealed document makes them"):
            look()
    assert not scene.directory.exists()


def test_no_other_keys_are_made_beside_what_earlier_ones_have_sealed(scene: Scene, tmp_path: Path) -> None:
    sealed = scene.vault().sealer(Purpose.TICKET_KEYS).seal(b"a", LABEL)
    path = scene.directory / FILE_NAME
    kept = path.read_bytes()
    running = scene.vault().sealer(Purpose.TICKET_KEYS)
    assert running.open(sealed, LABEL) == b"a"
    path.unlink()
    scene.needing.append(SealedFile(tmp_path / "a.sealed", Envelope.parse(sealed).key_id, LABEL))
    said = rf'there is no "{path}", by whose keys these were sealed: ".*/a\.sealed" \(ticket keys: all\); restore it from a backup'
    for sealer in (running, scene.vault().sealer(Purpose.TICKET_KEYS), scene.vault().sealer(Purpose.ACME_ACCOUNT)):
        with pytest.raises(NoKeys, match=said):
            sealer.seal(b"b", LABEL)
    with pytest.raises(NoKeys, match=said):
        scene.vault().read()
    with pytest.raises(NoKeys, match=said):
        _ = scene.vault().sealer(Purpose.TICKET_KEYS).key_id
    assert not path.exists()
    path.write_bytes(kept)
    assert running.open(running.seal(b"b", LABEL), LABEL) == b"b"


def test_a_damaged_hierarchy_is_said_and_not_replaced(scene: Scene) -> None:
    scene.vault().sealer(Purpose.TICKET_KEYS).seal(b"a", LABEL)
    path = scene.directory / FILE_NAME
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(KeyUnavailable, match=r"keys\.sealed.*was changed or damaged"):
        scene.vault().sealer(Purpose.TICKET_KEYS).seal(b"a", LABEL)
