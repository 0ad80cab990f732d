"""Where the keys of a configuration can be made."""

from pathlib import Path

from certs.keys.generating import ALGORITHMS
from certs.keys.home import KeyName
from certs.rotation.homes import homes_of
from certs.sealing.own_key import OwnKeySealer
from certs.storage.disk import Disk
from config.loader import accepted, read_file
from config.pkcs11_uri import parse
from tests.hsm_tokens import softhsm, softhsm_module
from tests.rotations import Rotations, configuration


def test_files_are_always_there(tmp_path: Path) -> None:
    assert sorted(Rotations(tmp_path).parts.homes) == ["file", "sealed"]


def test_each_token_is_a_home_of_its_name(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "latches"))
    place = tmp_path / "hsm"
    place.mkdir()
    with softhsm(place) as hsm:
        hsm.init_token("a label")
        tables = (
            f'[hsm]\nmodule = "{hsm.module}"\n[hsm.token.plexi]\nlabel = "a label"\npin_file = "{hsm.pin_file()}"\n'
        )
        scene = Rotations(tmp_path, configuration("ec-p256@plexi", further=tables))
        assert sorted(scene.parts.homes) == ["file", "plexi", "sealed"]
        home, name = scene.parts.homes["plexi"], KeyName("chat", ALGORITHMS["ec-p256"], 1)
        uri = parse(home.for_workers(name, home.make(name)).decode())
        assert uri.token == "a label"  # noqa: S105 - a device
        home.destroy(name)


def test_nothing_is_asked_for_the_homes_alone(tmp_path: Path) -> None:
    further = f'[hsm]\nmodule = "{softhsm_module()}"\n[hsm.token.plexi]\nserial = "7"\npin_file = "nowhere"\n'
    scene = Rotations(tmp_path, configuration(further=further))
    loaded = accepted(read_file(scene.file), scene.file)
    homes = homes_of(loaded.file, loaded.config.hsm, scene.parts.store, OwnKeySealer(tmp_path / "key", Disk()))
    assert homes["plexi"].name == "plexi"
