"""What a configuration makes, and what of it could never be issued."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.acme.fallback import FallbackIssuer
from certs.acme.issuer import AcmeIssuer
from certs.issuing.internal_ca.authority import InternalAuthority
from certs.keys.generating import ALGORITHMS
from certs.keys.home import KeyName
from certs.rotation.parts import Parts, changed_issuers, homes_of, issuance_problems, parts_of
from certs.sealing.own_key import OwnKeySealer
from certs.storage.disk import Disk
from config.loading.loader import accepted, read_file
from config.values.pkcs11_uri import parse
from tests.certs.authority import NOW
from tests.configurations import Site
from tests.hsm_tokens import softhsm, softhsm_module
from tests.rotations import Rotations, configuration

ACME = '[issuer.ca]\ntype = "acme"\ndirectory = "https://ca.test/dir"\nfallback = ["spare"]\n'
SPARE = '[issuer.spare]\ntype = "acme"\ndirectory = "https://spare.test/dir"\n'
HSM = f'[hsm]\nmodule = "{softhsm_module()}"\n[hsm.token.plexi]\npin_file = "pin"\n'


def problems(directory: Path, text: str) -> list[str]:
    return [f"{one.key}: {one.found}" for one in issuance_problems(Rotations(directory, text).parts)]


def test_a_configuration_without_a_state_directory_makes_nothing(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    path = site.write(site.minimal)
    assert parts_of(accepted(read_file(path), path), lambda: NOW) is None


def test_each_type_of_issuer_is_made(tmp_path: Path) -> None:
    text = configuration(further=ACME + SPARE).replace('issuer = "internal"', 'issuer = "ca"', 1)
    (tmp_path / "plexigate.toml").write_text(text)
    path = tmp_path / "plexigate.toml"
    parts = parts_of(accepted(read_file(path), path), lambda: NOW)
    assert parts is not None
    assert {name: type(one) for name, one in parts.issuers.items()} == {
        "internal": InternalAuthority,
        "ca": FallbackIssuer,
        "spare": AcmeIssuer,
    }
    assert [(name, one.slot) for name, one in parts.credentials()] == [("chat", "ec")]


def test_sealed_keys_without_a_sealing_key_are_warned_of(tmp_path: Path) -> None:
    (warning,) = problems(tmp_path, configuration("ec-p256@file", "mldsa-65@sealed"))
    assert "sealing.key in the state directory" in warning


def test_what_can_be_issued_is_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, configuration("ec-p256@file")) == []
    assert problems(tmp_path, configuration("ec-p256@plexi", further=HSM)) == []


def test_a_place_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, configuration("ec-p256@plexi")) == [
        'identity.chat.credential[0].key: "ec-p256@plexi", whose place does not exist'
    ]


def test_a_key_that_cannot_be_made_there_is_a_problem(tmp_path: Path) -> None:
    found = problems(tmp_path, configuration("mldsa-65@plexi", further=HSM))
    assert found == ['identity.chat.credential[0].key: "mldsa-65@plexi", a key that this place cannot make']


def test_a_name_that_its_authority_may_not_certify_is_a_problem(tmp_path: Path) -> None:
    text = configuration(issuer='names = ["example.org"]')
    assert problems(tmp_path, text) == ['identity.chat.names[0]: "chat.test"']


@pytest.mark.parametrize("length", [31, 32])
def test_an_identity_that_has_no_room_in_a_label_is_a_problem(tmp_path: Path, length: int) -> None:
    text = configuration("ec-p256@plexi", further=HSM).replace("identity.chat", f"identity.{'a' * length}")
    found = problems(tmp_path, text)
    assert [one.partition(", while ")[2] for one in found] == (
        [] if length == 31 else [f'"{"a" * 32}" is too long for the label of a key in a token']
    )


def test_the_keys_of_an_authority_are_looked_at_too(tmp_path: Path) -> None:
    found = problems(tmp_path, configuration(issuer='key = "ec-p384@plexi"\nroot = "mldsa-87@file"'))
    assert found == ['issuer.internal.key: "ec-p384@plexi", whose place does not exist']


def test_an_issuer_is_changed_when_one_that_stands_in_for_it_is(tmp_path: Path) -> None:
    path = tmp_path / "plexigate.toml"

    def parts(text: str) -> Parts:
        path.write_text(configuration(further=text))
        made = parts_of(accepted(read_file(path), path), lambda: NOW)
        assert made is not None
        return made

    before = parts(ACME + SPARE)
    assert list(changed_issuers(before, parts(ACME + SPARE))) == []
    assert sorted(changed_issuers(before, parts(ACME + SPARE + 'contact = "ops@example.org"\n'))) == ["ca", "spare"]
    assert list(changed_issuers(before, parts(ACME + 'profile = "short"\n' + SPARE))) == ["ca"]


def test_a_system_without_roots_is_warned_of_before_anything_is_to_be_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle"
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    text = configuration(further=ACME.replace('"spare"', "") + SPARE + 'root_file = "root.pem"\n')
    (warning,) = (one for one in issuance_problems(Rotations(tmp_path, text).parts) if "roots" in one.found)
    assert (warning.key, warning.is_error) == ("issuer.ca.root_file", False)
    (root,) = Rotations(tmp_path / "other").moody.roots
    bundle.write_bytes(root.public_bytes(Encoding.PEM))
    assert [one for one in issuance_problems(Rotations(tmp_path, text).parts) if "roots" in one.found] == []


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
