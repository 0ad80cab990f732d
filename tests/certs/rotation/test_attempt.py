"""The steps of a rotation before anything is swapped, and a version that a process left behind."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.issuing.issuer import Issued, IssueFailed, NotShared
from certs.keys.home import HomeFailed
from certs.rotation.attempt import Attempt, RotationStep, Task, offer, resumed, taken
from certs.rotation.checks import ChainUnusable
from certs.rotation.due import RenewalReason
from certs.rotation.facts import leaf_of
from certs.rotation.sharing import SharedEdition, SharedKey
from certs.storage.disk import Disk
from certs.storage.intent import Intent
from certs.storage.shelf import StoredVersion, retirement
from config.tables.rotation import KeySpec
from tests.certs.authority import DAY
from tests.certs.crashes import crashes
from tests.certs.fake_token import FakeToken
from tests.rotations import Rotations, configuration


@pytest.fixture
def token() -> FakeToken:
    return FakeToken()


@pytest.fixture
def scene(tmp_path: Path, token: FakeToken) -> Rotations:
    made = Rotations(tmp_path, homes={"plexi": token})
    made.follow(configuration("ec-p256@plexi"))
    return made


def attempt(scene: Rotations) -> Attempt:
    return Attempt(scene.task(), scene.parts.homes, lambda: scene.time.now)


def test_steps_in_their_order_make_a_version_that_may_serve(scene: Rotations, token: FakeToken) -> None:
    assert [str(one) for one in RotationStep] == ["new key", "certificate", "checks", "stored", "swapped in"]
    version = scene.stored()
    assert scene.shelf().current() is None
    assert list(token.keys) == ["chat.ecdsa-p256.v1"]
    assert leaf_of(version).public_key() == token.keys["chat.ecdsa-p256.v1"].public_key()
    (request,) = scene.moody.asked
    assert (request.names, request.replaces) == (("chat.test",), None)


def test_the_certificate_that_is_replaced_is_named(scene: Rotations) -> None:
    first = scene.serve()
    scene.stored()
    assert scene.moody.asked[1].replaces == leaf_of(first).public_bytes(Encoding.DER)
    first.chain_path.write_bytes(b"damaged")
    scene.shelf().recover(scene.parts.homes)
    scene.stored()
    assert scene.moody.asked[2].replaces is None


def test_a_chain_for_another_key_is_refused(scene: Rotations) -> None:
    other = scene.stored()
    one = attempt(scene)
    one.make_key()
    with pytest.raises(ChainUnusable, match="another key"):
        one.check(Issued(other.chain_path.read_bytes()))


def test_without_a_root_in_the_whole_system_no_order_is_spent(
    scene: Rotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    scene.moody.trusts_system = True
    one = attempt(scene)
    one.make_key()
    with pytest.raises(IssueFailed, match="internal: the system has no trusted roots"):
        one.issue()
    assert scene.moody.asked == []


def test_a_chain_has_to_end_in_a_root_of_the_system_where_the_issuer_names_none(
    scene: Rotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, (root,), (stranger,) = tmp_path / "bundle", scene.moody.roots, Rotations(tmp_path / "other").moody.roots
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    scene.moody.trusts_system = True
    bundle.write_bytes(stranger.public_bytes(Encoding.PEM))
    one = attempt(scene)
    one.make_key()
    issued = one.issue()
    with pytest.raises(
        ChainUnusable, match=r"not among what the system trusts .* set issuer\.internal\.root_file to its root"
    ):
        one.check(issued)
    bundle.write_bytes(root.public_bytes(Encoding.PEM))
    one.check(issued)


def test_an_attempt_that_is_undone_leaves_nothing(scene: Rotations, token: FakeToken) -> None:
    one = attempt(scene)
    one.undo()
    one.make_key()
    one.undo()
    assert token.keys == {}
    assert list(scene.shelf().directory.iterdir()) == []


def test_a_key_of_an_attempt_that_came_back_too_late_is_destroyed_first(scene: Rotations, token: FakeToken) -> None:
    token.make(scene.shelf().key_name(1, scene.asked.key))
    late = token.keys["chat.ecdsa-p256.v1"]
    attempt(scene).make_key()
    assert token.keys["chat.ecdsa-p256.v1"] is not late


class TestResumed:
    """What a process stored that ended before it could be swapped in."""

    def test_it_is_taken_when_it_is_what_is_wanted(self, scene: Rotations) -> None:
        assert resumed(scene.task(), scene.parts.homes, scene.time.now) is None
        stored = scene.stored()
        assert resumed(scene.task(), scene.parts.homes, scene.time.now) == stored

    @pytest.mark.parametrize("names", ['"chat.test", "www.chat.test"'])
    def test_it_is_dropped_when_something_else_is_wanted(self, scene: Rotations, token: FakeToken, names: str) -> None:
        scene.stored()
        scene.follow(configuration("ec-p256@plexi", names=names))
        assert resumed(scene.task(), scene.parts.homes, scene.time.now) is None
        assert token.keys == {}

    def test_it_is_dropped_when_its_time_is_over(self, scene: Rotations, token: FakeToken) -> None:
        scene.stored()
        assert resumed(scene.task(), scene.parts.homes, scene.time.now + 8 * DAY) is None
        assert token.keys == {}

    def test_a_compromised_key_is_never_taken_up_again(self, scene: Rotations, token: FakeToken) -> None:
        scene.stored()
        assert resumed(scene.task(RenewalReason.COMPROMISED), scene.parts.homes, scene.time.now) is None
        assert token.keys == {}


def rotated(scene: Rotations) -> None:
    """What the driver does."""
    left = resumed(scene.task(), scene.parts.homes, scene.time.now)
    if left is None:
        scene.serve()
    else:
        scene.shelf().serve(left.number, retirement(scene.time.now, DAY, "resumed"))
    scene.time.passes(2 * DAY)
    scene.shelf().destroy_keys(scene.time.now, scene.parts.homes)


def test_each_crash_of_a_whole_rotation_leaves_keys_and_certificates_that_fit(in_memory: Path) -> None:
    """Also of what the CA writes. The token keeps its keys over the crash, as a device does."""
    tokens: dict[Path, FakeToken] = {}
    scenes: dict[Path, Rotations] = {}

    def work(place: Path, disk: Disk) -> None:
        token = tokens.setdefault(place, FakeToken())
        scene = Rotations(place, homes={"plexi": token}, disk=disk)
        scene.follow(configuration("ec-p256@plexi"))
        scenes[place] = scene
        rotated(scene)

    count = 0
    for _, place in crashes(work, in_memory):
        count += 1
        after = Rotations(place, homes={"plexi": tokens[place]}, time=scenes[place].time)
        after.follow(configuration("ec-p256@plexi"))
        shelf = after.shelf()
        shelf.recover(after.parts.homes)
        current = shelf.current()
        assert (
            current is None
            or leaf_of(current).public_key()
            == tokens[place].keys[str(shelf.key_name(current.number, current.spec))].public_key()
        )
        having = {str(shelf.key_name(one.number, one.spec)) for one in shelf.versions() if one.has_key}
        assert set(tokens[place].keys) <= having
        if count % 5 == 0:  # each continues; these are seen to
            rotated(after)
            assert after.shelf().current() is not None
    assert count > 60


def test_a_home_that_is_gone_is_told(scene: Rotations) -> None:
    scene.stored()
    homes = {name: home for name, home in scene.parts.homes.items() if name != "plexi"}
    with pytest.raises(HomeFailed, match="no such place"):
        scene.shelf().drop(1, homes)


def test_weaker_keys_are_what_the_configuration_asks_for(scene: Rotations) -> None:
    stronger = replace(scene.task(), spec=replace(scene.asked.key, algorithm="ec-p384"))
    one = Attempt(stronger, scene.parts.homes, lambda: scene.time.now)
    one.make_key()
    one.check(one.issue())


@dataclass
class Fleet:
    """A `Sharing` in memory, and its own `OrderMemory`; `left` is what another node has begun."""

    left: SharedKey | None = None
    published: list[tuple[SharedKey, bytes]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    fault: str | None = None
    may_be_lost: bool = False

    def begun(self) -> SharedKey | None:
        return self.left

    def begin(self, key: SharedKey) -> None:
        self.left = key
        self.log.append("begin")

    @property
    def order(self) -> "Fleet":
        return self

    def known(self, _directory: str) -> str | None:
        return None

    def keep(self, _directory: str, _address: str) -> None:
        raise AssertionError

    def is_of_another_key(self, _address: str) -> bool:
        raise AssertionError

    def publish(self, key: SharedKey, chain_pem: bytes) -> Intent:
        if self.fault is not None:
            raise NotShared(self.fault)
        self.published.append((key, chain_pem))
        self.log.append("publish")
        return replace(key.intent, edition=len(self.published) + 6, epoch=2)

    def end(self) -> None:
        self.log.append("end")
        if self.fault is not None:
            raise NotShared(self.fault)


def of_files(directory: Path, key: str = "ec-p256@file") -> Rotations:
    return Rotations(directory, configuration(key))


def shared(scene: Rotations, fleet: Fleet, reason: RenewalReason = RenewalReason.COMMAND) -> StoredVersion:
    one = Attempt(replace(scene.task(reason), sharing=fleet), scene.parts.homes, lambda: scene.time.now)
    one.make_key()
    issued = one.issue()
    one.check(issued)
    return one.store(issued)


def test_a_fleet_has_the_key_before_it_is_certified_and_the_chain_before_it_is_served(tmp_path: Path) -> None:
    scene, fleet = of_files(tmp_path), Fleet()
    scene.moody.before = lambda: fleet.log.append("issue")
    version = shared(scene, fleet)
    assert fleet.log == ["begin", "issue", "publish"]
    assert scene.moody.asked[0].order is fleet
    ((key, chain),) = fleet.published
    assert (key.key_pem, chain) == (version.kept_path.read_bytes(), version.chain_path.read_bytes())
    assert version.intent.edition == 0
    stored = scene.shelf().version(version.number)
    assert stored is not None
    assert (stored.intent.edition, stored.intent.epoch) == (7, 2)


def test_the_next_leader_goes_on_with_the_key_that_the_last_one_made(tmp_path: Path) -> None:
    first, second, fleet = of_files(tmp_path / "1"), of_files(tmp_path / "2", "ec-p256@file"), Fleet()
    Attempt(replace(first.task(), sharing=fleet), first.parts.homes, lambda: first.time.now).make_key()
    left = fleet.left
    assert left is not None
    version = shared(second, fleet)
    assert fleet.log == ["begin", "publish"]
    assert version.kept_path.read_bytes() == left.key_pem


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (configuration("ec-p384@file"), RenewalReason.COMMAND),
        (configuration(names='"chat.test", "b.test"'), RenewalReason.COMMAND),
        (configuration(), RenewalReason.COMPROMISED),
    ],
)
def test_a_key_that_does_not_fit_or_may_be_compromised_is_not_gone_on_with(
    tmp_path: Path, text: str, reason: RenewalReason
) -> None:
    fleet = Fleet()
    shared(of_files(tmp_path / "1"), fleet)
    left = fleet.left
    assert left is not None
    second = Rotations(tmp_path / "2", text)
    assert shared(second, fleet, reason).kept_path.read_bytes() != left.key_pem


def test_what_the_fleet_refuses_does_not_serve_and_is_left_to_the_next_leader(tmp_path: Path) -> None:
    scene, fleet = of_files(tmp_path), Fleet(fault="another node leads")
    one = Attempt(replace(scene.task(), sharing=fleet), scene.parts.homes, lambda: scene.time.now)
    one.make_key()
    with pytest.raises(NotShared, match="another node leads"):
        one.store(one.issue())
    with pytest.raises(NotShared):
        one.give_up()
    one.undo()
    assert fleet.log == ["begin", "end"]
    assert scene.shelf().versions() == []


def edition_of(scene: Rotations, version: StoredVersion, number: int = 3) -> SharedEdition:
    fleet = Fleet()
    offer(scene.shelf(), version, scene.parts.homes, fleet)
    ((key, chain),) = fleet.published
    return SharedEdition(replace(key, intent=replace(key.intent, edition=number)), chain)


@pytest.mark.parametrize("place", ["file", "sealed"])
def test_another_node_takes_an_edition_at_the_place_of_its_own(tmp_path: Path, place: str) -> None:
    first, second = of_files(tmp_path / "1"), of_files(tmp_path / "2", f"ec-p256@{place}")
    first.follow(configuration("ec-p256@file"))
    edition = edition_of(first, first.serve())
    task = replace(second.task(), issuer=first.moody, edition=edition)
    version = taken(task, edition, second.parts.homes, second.time.now)
    assert version.chain_path.read_bytes() == edition.chain_pem
    assert (version.intent.edition, version.intent.key) == (3, f"ec-p256@{place}")
    home = second.parts.homes[place]
    name = second.shelf().key_name(version.number, version.spec)
    assert home.for_workers(name, version.kept_path.read_bytes()) == edition.key.key_pem
    assert (place == "file") == (version.kept_path.read_bytes() == edition.key.key_pem)
    again = replace(edition, key=replace(edition.key, intent=replace(edition.key.intent, edition=5)))
    assert taken(task, again, second.parts.homes, second.time.now).number == version.number, "it is there"
    found = second.shelf().version(version.number)
    assert found is not None
    assert found.intent.edition == 5


def test_an_edition_is_checked_as_a_new_certificate_is(tmp_path: Path) -> None:
    first, second = of_files(tmp_path / "1"), of_files(tmp_path / "2")
    edition = edition_of(first, first.serve())
    task = replace(second.task(), issuer=first.moody)

    def refused(task: Task = task, edition: SharedEdition = edition, days: int = 0) -> str:
        with pytest.raises(ChainUnusable) as caught:
            taken(task, edition, second.parts.homes, second.time.now + days * DAY)
        assert second.shelf().versions() == []
        return str(caught.value)

    other = replace(edition.key, key_pem=edition_of(first, first.serve()).key.key_pem)
    assert refused(edition=replace(edition, key=other)) == "it is for another key"
    assert refused(edition=replace(edition, chain_pem=b"no chain")) == "it is not a PEM file with certificates"
    assert refused(replace(task, names=("other.test",))) == "it is not for other.test"
    assert "which is not among" in refused(replace(task, issuer=second.moody))
    assert "weaker than before" in refused(replace(task, spec=KeySpec("ec-p384", "file")))
    assert "is valid from" in refused(days=8)
    old = taken(task, edition, second.parts.homes, second.time.now + 6 * DAY)
    assert old.intent.edition == 3, "one at the end of its life still serves"


def test_keys_in_tokens_are_never_shared(scene: Rotations) -> None:
    with pytest.raises(HomeFailed, match="keys in a token are never shared"):
        offer(scene.shelf(), scene.serve(), scene.parts.homes, Fleet())
