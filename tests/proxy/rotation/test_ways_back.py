"""To which version a credential can go back, and that several go back together or not at all."""

from pathlib import Path

import pytest

from certs.rotation.due import RenewalReason
from certs.storage.disk import Disk
from certs.storage.shelf import StoredVersion, retirement
from proxy.rotation.ways_back import Asked, NoWayBack, former, serve_former, ways_back
from tests.certs.authority import DAY
from tests.rotations import Rotations, configuration


@pytest.fixture
def scene(tmp_path: Path) -> Rotations:
    return Rotations(tmp_path, configuration("ec-p256@file"))


class TestFormer:
    """The version to go back to."""

    def test_it_is_the_newest_whose_key_is_there(self, scene: Rotations) -> None:
        assert former(scene.shelf(), scene.time.now) is None
        for _ in range(3):
            scene.serve()
        found = former(scene.shelf(), scene.time.now)
        assert found is not None
        assert found.number == 2

    def test_neither_compromised_nor_expired_nor_due_to_be_destroyed(self, scene: Rotations) -> None:
        scene.serve()
        scene.serve(RenewalReason.COMPROMISED)
        assert former(scene.shelf(), scene.time.now) is None
        scene.serve()
        assert former(scene.shelf(), scene.time.now) is not None
        assert former(scene.shelf(), scene.time.now + DAY) is None, "its key may be gone at any moment"
        scene.follow(configuration("ec-p256@file", rotation='grace = "30d"'))
        scene.serve()
        assert former(scene.shelf(), scene.time.now + 8 * DAY) is None

    def test_a_damaged_chain_is_passed_over(self, scene: Rotations) -> None:
        scene.serve().chain_path.write_bytes(b"rubbish")
        scene.serve()
        assert former(scene.shelf(), scene.time.now) is None


class Space:
    """What is left on a disk, as its steps find it."""

    files: int | None = None
    """So many more files find room, then one finds none; None: all do."""

    def take(self, step: str) -> None:
        if self.files is None or not step.startswith("create "):
            return
        if self.files == 0:
            self.files = None
            raise OSError(28, "No space left on device")
        self.files -= 1


class TestTogether:
    @pytest.fixture
    def space(self) -> Space:
        return Space()

    @pytest.fixture
    def scene(self, tmp_path: Path, space: Space) -> Rotations:
        """Two credentials, of which the first has a previous version."""
        made = Rotations(tmp_path, configuration("ec-p256@file", "rsa-2048@file"), disk=Disk(space.take))
        for slot in ("ec", "ec", "rsa"):
            made.serve(slot=slot)
        return made

    def asked(self, scene: Rotations, *, is_bound_to_go: bool = False) -> list[Asked]:
        return [Asked(scene.shelf("ec"), is_bound_to_go), Asked(scene.shelf("rsa"), is_bound_to_go=False)]

    def test_one_that_cannot_go_back_holds_the_others(self, scene: Rotations) -> None:
        first, second = ways_back(self.asked(scene), scene.time.now)
        assert isinstance(first, NoWayBack)
        assert "because rsa cannot go back" in first.detail
        assert "plexigate certs rollback chat --credential ec" in first.detail
        assert isinstance(second, NoWayBack)
        assert "there is no previous version" in second.detail

    def test_a_marked_key_holds_the_others_too(self, scene: Rotations) -> None:
        scene.serve(slot="rsa")
        first, second = ways_back(self.asked(scene, is_bound_to_go=True), scene.time.now)
        assert isinstance(first, NoWayBack)
        assert "marked as compromised" in first.detail
        assert isinstance(second, NoWayBack)
        assert "because ec cannot go back" in second.detail

    def test_what_cannot_be_written_for_one_is_taken_back_for_the_others(self, scene: Rotations, space: Space) -> None:
        scene.serve(slot="rsa")
        asked = self.asked(scene)
        chosen = [
            (one.shelf, way)
            for one, way in zip(asked, ways_back(asked, scene.time.now), strict=True)
            if isinstance(way, StoredVersion)
        ]
        assert [way.number for _, way in chosen] == [1, 1]
        before = scene.shelf("ec").ledger()
        space.files = 1  # the ledger of the first
        with pytest.raises(OSError, match="No space"):
            serve_former(chosen, retirement(scene.time.now, DAY, "rolled back"))
        assert scene.shelf("ec").ledger() == before
        assert scene.shelf("rsa").ledger().current == 2
        serve_former(chosen, retirement(scene.time.now, DAY, "rolled back"))
        assert [scene.shelf(slot).ledger().current for slot in ("ec", "rsa")] == [1, 1]
