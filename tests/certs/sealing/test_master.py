"""The sealing key in a file and in a token: found, used for as long as a block lasts, and missed in a sentence."""

from pathlib import Path

import pytest

from certs.hsm.facts import KeyAddress, TokenFacts
from certs.sealing.errors import KeyAway, KeyUnavailable, Tampered
from certs.sealing.key_file import create_key
from certs.sealing.master import KeyInToken, Master, place_of
from certs.sealing.sealing_key import TokenKeyImporter, sealing_key_name
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from tests.hsm_tokens import softhsm, token_process

PLEXI = TokenFacts(0, "plexi", "42", "", "", 0, None, None, ("CKM_AES_KEY_GEN", "CKM_AES_GCM"))
LABEL = "key hierarchy: domains"


def loaded(directory: Path, **tables: object) -> LoadedConfig:
    return LoadedConfig(Config.model_validate(tables), ConfigFile(directory / "plexigate.toml"))


def test_without_a_key_nothing_is_sealed(tmp_path: Path) -> None:
    assert place_of((given := loaded(tmp_path)).file, given.config.sealing, given.config.hsm) is None


def test_a_key_in_a_file(tmp_path: Path) -> None:
    place = place_of(
        (given := loaded(tmp_path, sealing={"key": "sealing.key"})).file, given.config.sealing, given.config.hsm
    )
    assert place == tmp_path / "sealing.key"
    master = Master(place)
    with pytest.raises(KeyUnavailable, match=r"sealing\.key.*cannot be read"):
        master.seal(b"a", LABEL)
    key = create_key(place)
    sealed = master.seal(b"a", LABEL)
    assert (master.open(sealed, LABEL), master.key_id) == (b"a", key.key_id)
    with pytest.raises(Tampered):
        master.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), LABEL)


def test_a_key_in_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    with softhsm(tmp_path) as hsm:
        access = hsm.init_token("plexi")
        hsm.pin_file(name="plexi.pin")
        with token_process(access) as process:
            TokenKeyImporter(process, PLEXI).generate()
        uri = f"pkcs11:token=plexi;object={sealing_key_name().label}"
        table = {"module": str(hsm.module), "token": {"plexi": {"pin_file": "plexi.pin"}}}
        place = place_of(
            (given := loaded(tmp_path, sealing={"key": uri}, hsm=table)).file, given.config.sealing, given.config.hsm
        )
        assert isinstance(place, KeyInToken)
        assert place.access.pin.reveal() not in f"{place} {place!r}"
        assert place.address == KeyAddress(sealing_key_name().label)
        master = Master(place)
        with master.at_hand() as outer, master.at_hand() as inner:
            assert outer is inner
            assert master.has_shares is False
            sealed = inner.seal(b"a", LABEL)
        assert master.open(sealed, LABEL) == b"a"
        hsm.pin_file("wrong-pin", "plexi.pin")
        wrong = place_of(
            (given := loaded(tmp_path, sealing={"key": uri}, hsm=table)).file, given.config.sealing, given.config.hsm
        )
        assert wrong is not None
        with pytest.raises(KeyAway, match="CKR_PIN_INCORRECT"):
            Master(wrong).open(sealed, LABEL)


def test_only_a_token_that_is_away_may_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    with softhsm(tmp_path) as hsm:
        hsm.pin_file(name="plexi.pin")
        table = {"module": str(hsm.module), "token": {"plexi": {"pin_file": "plexi.pin"}}}
        place = place_of(
            (given := loaded(tmp_path, sealing={"key": "pkcs11:token=plexi;object=none"}, hsm=table)).file,
            given.config.sealing,
            given.config.hsm,
        )
        assert place is not None
        with pytest.raises(KeyAway, match="no token with label plexi"):
            Master(place).open(b"", LABEL)
        hsm.init_token("plexi")
        with pytest.raises(KeyUnavailable, match="has 0 keys") as caught:
            Master(place).open(b"", LABEL)
    assert not isinstance(caught.value, KeyAway)
