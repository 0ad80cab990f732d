"""The material of issued credentials."""

from dataclasses import replace
from pathlib import Path

from proxy.processes.material import Material
from proxy.supervisor.editions.issued import as_material, issued_material, shut_identities, with_files
from tests.rotations import Rotations, configuration


def test_what_serves_is_material_under_names_that_stay(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    assert issued_material(scene.parts.loaded) == ({}, [])
    scene.serve()
    first, faults = issued_material(scene.parts.loaded)
    assert faults == []
    scene.serve()
    second, _ = issued_material(scene.parts.loaded)
    assert first.keys() == second.keys()
    assert first != second
    modes = {Path(name).name: one.mode & 0o777 for name, one in second.items()}
    assert modes == {"chain.pem": 0o644, "key.pem": 0o600}


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    scene = Rotations(tmp_path, configuration("ec-p256@nowhere"))
    _, faults = issued_material(scene.parts.loaded)
    assert any(one.is_error and "ec-p256@nowhere" in one.found for one in faults)
    scene.follow(configuration())
    scene.serve().kept_path.unlink()
    material, faults = issued_material(scene.parts.loaded)
    assert material == {}
    assert [one.is_error for one in faults] == [False]


def test_what_a_renewal_lacks_refuses_no_start_that_could_serve(tmp_path: Path) -> None:
    other = '[issuer.other]\ntype = "acme"\ndirectory = "https://ca.test"\nroot_file = "missing"\n'
    scene = Rotations(tmp_path, configuration(further=other))
    (fault,) = issued_material(scene.parts.loaded)[1]
    assert (fault.key, fault.is_error) == ("issuer.other.root_file", True)
    scene.serve()
    (fault,) = issued_material(scene.parts.loaded)[1]
    assert (fault.key, fault.is_error) == ("issuer.other.root_file", False)


def test_no_state_directory_is_no_material(tmp_path: Path) -> None:
    loaded = Rotations(tmp_path).parts.loaded
    config = loaded.config.model_copy(update={"rotation": loaded.config.rotation.model_copy(update={"state": None})})
    assert issued_material(replace(loaded, config=config)) == ({}, [])


def test_files_are_found_where_they_are_now(tmp_path: Path) -> None:
    loaded = Rotations(tmp_path).parts.loaded
    elsewhere = with_files(loaded, {Path("/a"): Path("/b")})
    assert elsewhere.file.resolve("/a") == Path("/b")
    assert as_material({}) == {}


def test_keys_that_rest_sealed_and_did_not_open_shut_their_identity(tmp_path: Path) -> None:
    scene = Rotations(tmp_path, configuration("ec-p256@sealed"))
    loaded = scene.parts.loaded
    assert shut_identities(loaded, Material()) == set(), "there is none yet"
    scene.serve()
    assert shut_identities(loaded, issued_material(loaded)[0]) == set()
    assert shut_identities(loaded, Material()) == {"chat"}
    (scene.shelf().directory / "ledger.json").write_bytes(b"rubbish")
    assert shut_identities(loaded, Material()) == set(), "that opens by no key"
