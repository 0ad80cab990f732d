"""The steps of a rotation before anything is swapped, and a version that a process left behind."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.issuing.issuer import Issued, IssueFailed
from certs.keys.home import HomeFailed
from certs.rotation.attempt import Attempt, RotationStep, resumed
from certs.rotation.checks import ChainUnusable
from certs.rotation.due import RenewalReason
from certs.rotation.facts import leaf_of
from certs.storage.disk import Disk
from certs.storage.shelf import retirement
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
