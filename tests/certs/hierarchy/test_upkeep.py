"""Keys below the sealing key, and what they have sealed, are renewed as time goes by."""

from datetime import timedelta
from pathlib import Path

import pytest

from certs.audit.entries import Action, Outcome
from certs.hierarchy.key import KeyState
from certs.hierarchy.sealed_files import sealed_files
from certs.hierarchy.upkeep import Upkeep
from certs.hierarchy.vault import Vault
from certs.sealing.envelope import Envelope, Purpose
from certs.sealing.errors import KeyUnavailable
from certs.sealing.key_file import create_key
from certs.sealing.master import Master
from certs.sealing.sealer import AeadSealer
from tests.certs.hierarchy.test_hierarchy import NOW

AFTER = timedelta(days=90)
LABEL = Purpose.CREDENTIAL_KEY.label("one")


class Years:
    """A directory with a sealed file, over which time goes by."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = NOW
        self.told: list[tuple[Action, str, Outcome]] = []
        self.key = directory / "sealing.key"
        create_key(self.key)
        self.file = directory / "one.sealed"
        self.file.write_bytes(self.vault().sealer(Purpose.CREDENTIAL_KEY).seal(b"secret", LABEL))

    def vault(self) -> Vault:
        def tell(action: Action, key: str, outcome: Outcome, _detail: str) -> None:
            self.told.append((action, key, outcome))

        return Vault(Master(self.key), self.directory / "state", lambda: self.now, tell, list)

    def upkeep(self) -> Upkeep:
        def tell(action: Action, key: str, outcome: Outcome, _detail: str) -> None:
            self.told.append((action, key, outcome))

        return Upkeep(self.vault(), AFTER, lambda: sealed_files([self.file], []), self.now, tell)

    def kept(self, later: timedelta = timedelta()) -> Upkeep:
        """Everything that is done at a time."""
        self.now += later
        work = self.upkeep()
        work.renew()
        work.reseal(work.stale())
        work.destroy()
        return work

    def states(self, purpose: str = "credentials") -> list[KeyState]:
        return [key.state for key in self.vault().read().hierarchy.versions(purpose)]

    @property
    def version(self) -> int:
        """Of the key that has sealed the file."""
        key_id = Envelope.parse(self.file.read_bytes()).key_id
        return self.vault().names_in_envelopes()[key_id].version

    def opened(self) -> bytes:
        return self.vault().sealer(Purpose.CREDENTIAL_KEY).open(self.file.read_bytes(), LABEL)


@pytest.fixture
def years(tmp_path: Path) -> Years:
    return Years(tmp_path)


def test_nothing_is_done_before_its_time(years: Years) -> None:
    before = (years.directory / "state/keys.sealed").read_bytes(), years.file.read_bytes()
    work = years.kept(AFTER - timedelta(seconds=1))
    assert (work.done, work.errors) == ([], [])
    assert ((years.directory / "state/keys.sealed").read_bytes(), years.file.read_bytes()) == before


def test_keys_are_rotated_files_sealed_again_and_versions_destroyed_in_this_order(years: Years) -> None:
    work = years.kept(AFTER)
    assert work.done == [
        "rotated the keys for acme, backup, credentials, fleet, payload, tickets",
        "sealed 1 file again",
    ]
    assert (years.version, years.states()) == (2, [KeyState.RETIRED, KeyState.ACTIVE])
    assert (Action.SEAL, str(years.file), Outcome.DONE) in years.told
    assert years.kept(AFTER - timedelta(seconds=1)).done == []
    work = years.kept(timedelta(seconds=1))
    assert work.done[0].startswith("rotated the keys")
    assert "destroyed plexigate/tickets:1, plexigate/credentials:1" in work.done[-1]
    assert years.states() == [KeyState.DESTROYED, KeyState.RETIRED, KeyState.ACTIVE]
    assert (years.version, years.opened()) == (3, b"secret")


def test_a_key_of_many_uses_is_rotated_alone(years: Years) -> None:
    vault = years.vault()
    _ = vault.sealer(Purpose.TICKET_KEYS).key_id
    vault._store.change(lambda keys: keys.used("plexigate/tickets:1", 2**31))
    assert years.kept().done == ["rotated the keys for tickets"]
    assert years.states("payload") == [KeyState.ACTIVE]


def test_a_version_that_a_file_needs_is_not_destroyed(years: Years) -> None:
    years.now += AFTER
    years.upkeep().renew()
    work = years.upkeep()
    years.now += 2 * AFTER
    work = years.upkeep()
    work.destroy()
    assert "plexigate/credentials:1" not in "".join(work.done)
    assert years.states() == [KeyState.RETIRED, KeyState.ACTIVE]
    assert years.states("tickets") == [KeyState.DESTROYED, KeyState.ACTIVE]
    assert years.opened() == b"secret"


def test_what_cannot_be_sealed_again_is_said_and_keeps_its_key(years: Years) -> None:
    content = years.file.read_bytes()
    years.file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    work = years.kept(AFTER)
    assert work.done == ["rotated the keys for acme, backup, credentials, fleet, payload, tickets"]
    (error,) = work.errors
    assert f'"{years.file}" was changed or damaged' in error
    years.kept(AFTER)
    assert years.states()[0] is KeyState.RETIRED


def test_a_file_that_went_meanwhile_is_no_fault(years: Years) -> None:
    years.now += AFTER
    work = years.upkeep()
    work.renew()
    stale = work.stale()
    assert [one.path for one in stale] == [years.file]
    years.file.unlink()
    work.reseal(stale)
    assert work.errors == []
    assert not years.file.exists()


def test_the_previous_sealing_key_ends_when_its_time_is_over_and_the_newest_is_named(years: Years) -> None:
    newest = years.directory / "next.key"
    years.vault().succeed(AeadSealer(create_key(newest)), str(newest), NOW + timedelta(30))
    assert years.kept(timedelta(29)).done == []
    years.now += timedelta(1)
    with pytest.raises(KeyUnavailable, match="that was replaced"):
        years.upkeep().renew()
    years.key = newest
    assert years.kept().done == [f"ended the sealing key {years.directory / 'sealing.key'}"]
    assert [one.name for one in years.vault().read().sealing_keys] == [str(newest)]


def test_where_nothing_is_sealed_nothing_is_made(years: Years) -> None:
    (years.directory / "state/keys.sealed").unlink()
    work = years.upkeep()
    assert work.renew() is None
    work.destroy()
    assert not (years.directory / "state/keys.sealed").exists()
