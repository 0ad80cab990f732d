"""What the parent uses of tokens, read from a configuration as it is read for the workers."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from certs.hsm.access import TokenChoice
from certs.hsm.facts import KeyAddress
from certs.identities.identities import LoadedCredentials, load_credentials
from certs.keys.signing_key import PublicKey
from certs.tokens.token_use import KeyPlace, NamedKey, TokenUse, identities_in_tokens, spare_tokens, token_uses
from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from tests.certificates import Authority
from tests.certs.authority import private_key
from tests.configurations import MINIMAL_LISTENER, process

NOW = datetime.now(UTC)  # noqa: TID251 - certificates are made with the same clock


def public(kind: str) -> PublicKey:
    key = private_key(kind).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey | Ed25519PublicKey)
    return key


def read(directory: Path, *identities: str) -> tuple[LoadedConfig, LoadedCredentials]:
    for name in ("plexi", "spare"):
        path = directory / f"{name}.pin"
        path.touch(mode=0o600)
        path.write_text(f"{name}-1234\n")
    (directory / "m.so").touch()
    hsm = '[hsm]\nmodule = "./m.so"\n[hsm.token.plexi]\npin_file = "plexi.pin"\n'
    hsm += '[hsm.token.spare]\nserial = "42"\nmax_sessions = 8\npin_file = "spare.pin"\n'
    route = '[upstream.chat]\nservers = ["http://127.0.0.1:1"]\n[[route]]\nhost = "a.test"\nupstream = "chat"\n'
    path = directory / "plexigate.toml"
    path.write_text(process(directory / "s", 1) + MINIMAL_LISTENER + hsm + "".join(identities) + route)
    loaded = load(path)
    return loaded, load_credentials(loaded, NOW)


def identity(directory: Path, name: str, key: PublicKey, *uris: str) -> str:
    certificate = Authority(directory).certify(name, key, (name,))
    return f'[identity.{name[0]}]\nnames = ["{name}"]\ncertificate = "{certificate}"\nkey = {list(uris)}\n'


def uses(read: tuple[LoadedConfig, LoadedCredentials]) -> tuple[TokenUse, ...]:
    loaded, credentials = read
    return token_uses(loaded.file, loaded.config.hsm, credentials.identities, credentials.pins)


def test_tokens_have_their_login_and_each_key_once(tmp_path: Path) -> None:
    key = public("ecdsa-p256")
    text = identity(tmp_path, "a.test", key, "pkcs11:token=plexi;object=chat", "pkcs11:serial=42;object=chat")
    plexi, spare = uses(read(tmp_path, text))
    assert (plexi.name, plexi.access.token, plexi.access.module) == ("plexi", TokenChoice("plexi"), tmp_path / "m.so")
    assert (spare.access.token, spare.max_sessions) == (TokenChoice(serial="42"), 8)
    assert (plexi.access.pin.reveal(), plexi.pin_source) == ("plexi-1234", "file plexi.pin")
    assert [(one.address, one.public_key) for one in plexi.keys] == [(KeyAddress("chat"), key)]
    assert plexi.named == (NamedKey("pkcs11:token=plexi;object=chat", KeyAddress("chat"), ("a",)),)
    assert "plexi-1234" not in repr(plexi)


def test_another_pin_is_another_login(tmp_path: Path) -> None:
    text = identity(tmp_path, "a.test", public("ecdsa-p256"), "pkcs11:token=plexi;object=chat")
    first, again = uses(read(tmp_path, text)), uses(read(tmp_path, text))
    assert [one.login for one in first] == [one.login for one in again]
    loaded, _ = read(tmp_path, text)
    (tmp_path / "plexi.pin").write_text("other\n")
    credentials = load_credentials(loaded, NOW)
    changed = token_uses(loaded.file, loaded.config.hsm, credentials.identities, credentials.pins)
    assert [one.login == other.login for one, other in zip(first, changed, strict=True)] == [False, True]


def test_a_key_that_python_pkcs11_is_not_asked_for_is_not_tried(tmp_path: Path) -> None:
    plexi, _ = uses(read(tmp_path, identity(tmp_path, "a.test", public("ed25519"), "pkcs11:token=plexi;object=chat")))
    assert plexi.keys == ()


def test_identities_with_a_key_in_a_file_need_no_token(tmp_path: Path) -> None:
    text = identity(tmp_path, "a.test", public("ecdsa-p256"), "pkcs11:token=plexi;object=chat")
    files = Authority(tmp_path).issue("b.test")
    text += f'[identity.b]\nnames = ["b.test"]\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n'
    _, credentials = read(tmp_path, text)
    assert identities_in_tokens(credentials.identities) == {
        "a": frozenset({KeyPlace("plexi", "pkcs11:token=plexi;object=chat")})
    }


@pytest.mark.parametrize(("kind", "is_in_tokens"), [("mldsa-65", True), ("rsa-2048", False)])
def test_an_mldsa_key_in_a_file_does_not_serve_the_usual_client(tmp_path: Path, kind: str, is_in_tokens: bool) -> None:  # noqa: FBT001
    certificate = Authority(tmp_path).certify("chat", public("ecdsa-p256"), ("a.test",))
    beside = Authority(tmp_path).issue("beside", ("a.test",), kind=kind)
    one = '[[identity.a.credential]]\ncertificate = "{}"\nkey = "{}"\n'
    text = '[identity.a]\nnames = ["a.test"]\n' + one.format(certificate, "pkcs11:token=plexi;object=chat")
    _, credentials = read(tmp_path, text + one.format(beside.certificate, beside.key))
    assert ("a" in identities_in_tokens(credentials.identities)) is is_in_tokens


@pytest.mark.parametrize("pin", ["", "two\nlines"])
def test_a_token_without_a_pin_is_passed_over(tmp_path: Path, pin: str) -> None:
    text = identity(tmp_path, "a.test", public("ecdsa-p256"), "pkcs11:serial=42;object=chat")
    loaded, _ = read(tmp_path, text)
    (tmp_path / "plexi.pin").write_text(pin)
    credentials = load_credentials(loaded, NOW)
    assert [
        one.name for one in token_uses(loaded.file, loaded.config.hsm, credentials.identities, credentials.pins)
    ] == ["spare"]


def test_without_hsm_there_is_none(tmp_path: Path) -> None:
    files = Authority(tmp_path).issue("a.test")
    path = tmp_path / "p.toml"
    text = f'[identity.a]\nnames = ["a.test"]\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n'
    route = '[upstream.chat]\nservers = ["http://127.0.0.1:1"]\n[[route]]\nhost = "a.test"\nupstream = "chat"\n'
    path.write_text(process(tmp_path / "s", 1) + MINIMAL_LISTENER + text + route)
    loaded = load(path)
    credentials = load_credentials(loaded, NOW)
    assert token_uses(loaded.file, loaded.config.hsm, credentials.identities, credentials.pins) == ()


def test_a_key_of_two_identities_names_both(tmp_path: Path) -> None:
    key, uri = public("ecdsa-p256"), "pkcs11:token=plexi;object=chat"
    plexi, _ = uses(read(tmp_path, identity(tmp_path, "a.test", key, uri) + identity(tmp_path, "b.test", key, uri)))
    assert plexi.named == (NamedKey(uri, KeyAddress("chat"), ("a", "b")),)


def test_a_token_is_spare_while_every_identity_has_a_key_elsewhere(tmp_path: Path) -> None:
    key, other = public("ecdsa-p256"), public("ecdsa-p384")
    twins = identity(tmp_path, "a.test", key, "pkcs11:token=plexi;object=a", "pkcs11:serial=42;object=a")
    loaded, credentials = read(tmp_path, twins)
    used, in_tokens = uses((loaded, credentials)), identities_in_tokens(credentials.identities)
    assert spare_tokens(used, in_tokens, {"plexi"}) == {"plexi"}
    assert spare_tokens(used, in_tokens, {"plexi", "spare"}) == frozenset()
    loaded, credentials = read(tmp_path, twins, identity(tmp_path, "b.test", other, "pkcs11:token=plexi;object=b"))
    used, in_tokens = uses((loaded, credentials)), identities_in_tokens(credentials.identities)
    assert spare_tokens(used, in_tokens, {"plexi"}) == frozenset()
    assert spare_tokens(used, in_tokens, {"spare"}) == {"spare"}
    assert spare_tokens(used, {}, {"other"}) == frozenset()


def test_a_refused_pin_is_a_problem_of_its_token_and_shows_no_pin(tmp_path: Path) -> None:
    loaded, credentials = read(
        tmp_path, identity(tmp_path, "a.test", public("ecdsa-p256"), "pkcs11:token=plexi;object=a")
    )
    plexi, _ = uses((loaded, credentials))
    problem = plexi.pin_problem(loaded.file, "CKR_PIN_INCORRECT")
    assert problem.key == "hsm.token.plexi"
    assert problem.found == "the PIN from the file plexi.pin: CKR_PIN_INCORRECT"
    assert "1234" not in str(problem)
