"""The tables of `[hsm]`, and how keys are written."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from config.tables.hsm import HsmConfig, Keys, TokenConfig
from config.values.pkcs11_uri import Pkcs11Uri, parse

PLEXI = {"pin_file": "plexi.pin"}
URI = "pkcs11:token=plexi;object=chat"


def hsm(**tokens: dict[str, Any]) -> HsmConfig:
    return HsmConfig.model_validate({"module": "hsm.so", "token": tokens})


def refused(model: Any, document: object) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(document)
    return str(
        [
            entry["ctx"]["error"].found or entry["ctx"]["error"].allowed
            for entry in caught.value.errors()
            if "error" in entry.get("ctx", {})
        ]
    )


class TestKeys:
    def test_path_or_uri_or_several_uris(self) -> None:
        keys: TypeAdapter[Any] = TypeAdapter(Keys)
        chat = Pkcs11Uri(token="plexi", object="chat")
        assert keys.validate_python("chat.key") == ("chat.key",)
        assert keys.validate_python(URI) == (chat,)
        assert keys.validate_python([URI, "pkcs11:token=spare;object=chat"]) == (
            chat,
            Pkcs11Uri(token="spare", object="chat"),
        )
        assert keys.validate_python((chat,)) == (chat,)

    @pytest.mark.parametrize(
        "written", [[], [1], 1, {"token": "plexi"}, ["a.key", URI], ["a.key", "b.key"], [URI, "pkcs11:"], ""]
    )
    def test_other_things_are_refused(self, written: object) -> None:
        refused(Keys, written)

    def test_a_file_does_not_stand_in_for_a_token(self) -> None:
        assert "the path of a file in a list of keys" in refused(Keys, [URI, "chat.key"])


class TestTokens:
    def test_found_by_the_name_of_the_table_unless_it_says_otherwise(self) -> None:
        config = hsm(
            plexi=PLEXI, main={**PLEXI, "label": "My Token"}, card={**PLEXI, "serial": "0a"}, first={**PLEXI, "slot": 0}
        )
        names = {name: (one.label, one.serial, one.slot) for name, one in config.names.items()}
        assert names == {
            "plexi": ("plexi", None, None),
            "main": ("My Token", None, None),
            "card": (None, "0a", None),
            "first": (None, None, 0),
        }
        assert config.tokens_of(parse(URI)) == ("plexi",)
        assert config.tokens_of(parse("pkcs11:token=main;object=a")) == ()
        assert config.tokens_of(parse("pkcs11:token=My%20Token;object=a")) == ("main",)
        assert config.tokens_of(parse("pkcs11:serial=0a;object=a")) == ("card",)
        assert config.tokens_of(parse("pkcs11:slot-id=0;object=a")) == ("first",)
        assert config.tokens_of(parse("pkcs11:token=plexi;serial=0a;object=a")) == ("plexi", "card")

    def test_every_name_must_be_the_same(self) -> None:
        config = hsm(a={**PLEXI, "label": "same", "serial": "01"}, b={**PLEXI, "label": "same", "serial": "02"})
        assert config.tokens_of(parse("pkcs11:token=same;object=x")) == ("a", "b")
        assert config.tokens_of(parse("pkcs11:token=same;serial=02;object=x")) == ("b",)
        assert config.tokens_of(parse("pkcs11:serial=02;object=x")) == ("b",)
        assert config.tokens_of(parse("pkcs11:serial=03;object=x")) == ()

    def test_uri_gets_what_the_token_is_found_by(self) -> None:
        config = hsm(a={**PLEXI, "label": "same", "serial": "01"}, b={**PLEXI, "slot": 3, "serial": "02"})
        full = config.full_uri(parse("pkcs11:serial=01;object=x;model=m;manufacturer=v;id=1"))
        assert full == Pkcs11Uri("same", "01", None, "v", "m", "x", b"1")
        assert config.full_uri(parse("pkcs11:slot-id=3;object=x")) == Pkcs11Uri(serial="02", slot_id=3, object="x")

    @pytest.mark.parametrize(
        "token",
        [
            {**PLEXI, "label": ""},
            {**PLEXI, "label": "a" * 33},
            {**PLEXI, "label": "a "},
            {**PLEXI, "label": "a\n"},
            {**PLEXI, "serial": "a" * 17},
            {**PLEXI, "slot": -1},
            {**PLEXI, "slot": "1"},
            {**PLEXI, "max_sessions": 0},
            {**PLEXI, "max_sessions": True},
            {"pin_credential": "../plexi"},
            {"pin_credential": ""},
            {"pin_file": URI},
        ],
    )
    def test_what_no_token_can_be(self, token: dict[str, Any]) -> None:
        refused(TokenConfig, token)

    def test_one_place_for_the_pin(self) -> None:
        assert TokenConfig.model_validate({"pin_credential": "plexi-pin"}).pin_credential == "plexi-pin"
        assert "neither pin_file nor pin_credential" in refused(TokenConfig, {"label": "a"})
        assert "pin_file and pin_credential" in refused(TokenConfig, {**PLEXI, "pin_credential": "plexi"})

    def test_at_least_one_token_and_a_module(self) -> None:
        refused(HsmConfig, {"module": "hsm.so", "token": {}})
        refused(HsmConfig, {"module": "hsm.so"})
        refused(HsmConfig, {"token": {"plexi": PLEXI}})


class TestSessions:
    @pytest.mark.parametrize(
        ("sessions", "workers", "threads"),
        [(16, 2, 6), (16, 1, 13), (4, 1, 1), (3, 1, 0), (6, 2, 1), (5, 2, 0), (16, 8, 0), (2, 4, -1)],
    )
    def test_shared_by_all_processes(self, sessions: int, workers: int, threads: int) -> None:
        token = TokenConfig.model_validate({**PLEXI, "max_sessions": sessions})
        assert token.signing_threads(workers) == threads
        assert (sessions >= TokenConfig.fewest_sessions(workers)) == (threads >= 1)
