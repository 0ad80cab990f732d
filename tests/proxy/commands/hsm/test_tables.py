"""Tables say what there is, and what is wrong with it."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console, RenderableType

from certs.hierarchy.document import as_json
from certs.hierarchy.key import ManagedKey
from certs.hsm.facts import KeyClass, KeyFacts, TokenFacts
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName
from certs.hsm.targets import Check, Measured, MeasuringPlace, MeasuringReport, SpeedTarget
from proxy.commands.hsm.tables import (
    HierarchyRow,
    ListedKeyRow,
    ListedTokenRow,
    hierarchy_table,
    key_json,
    key_table,
    report_table,
    token_json,
    token_table,
)
from tests.parts import differences

TOKEN = TokenFacts(3, "plexi", "42", "M1", "Maker", 0x1042D, 2, 16, ("CKM_ECDSA", "CKM_AES_GCM"))
NAME = TokenKeyName("chat", KeyKind.ECDSA_P256, 1)
KEY = KeyFacts(NAME.label, NAME.id, KeyClass.PRIVATE, "ecdsa-p256", 256, True, False, True, True, True, ("sign",))  # noqa: FBT003 - states as a token tells them


def shown(table: RenderableType, width: int = 200) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_tokens_are_shown_with_pin_sessions_and_abilities() -> None:
    broken = TokenFacts.of_broken(17, "CKR_DEVICE_ERROR")
    text = shown(token_table([TOKEN, replace(TOKEN, label="", flags=0, sessions=None, session_limit=None), broken]))
    assert "(no answer)" in text
    assert "CKR_DEVICE_ERROR" in text
    assert token_json(broken)["fault"] == "CKR_DEVICE_ERROR"
    assert "count-low" in text
    assert "2 of 16" in text
    assert "ECDSA, AES-GCM" in text
    assert "(not set up)" in text
    assert "? of ?" in text


def test_keys_are_shown_with_what_they_may_do() -> None:
    lines = shown(key_table(TOKEN, [KEY, replace(KEY, label="mine", is_extractable=True, is_local=None)])).splitlines()
    assert lines[2].split() == ["chat.ecdsa-p256.v1", NAME.id.hex(), "ecdsa-p256", "sign", "yes", "yes"]
    assert lines[3].split()[-2:] == ["no", "unknown"]
    assert "none" in shown(key_table(TOKEN, []))


def test_words_of_a_token_do_nothing_to_a_terminal() -> None:
    evil = "\x1b[2J\u202e[bold]x"
    one = replace(TOKEN, label=evil, serial=evil, model=evil)
    for table in (token_table([one]), key_table(one, [replace(KEY, label=evil)])):
        text = shown(table)
        assert all(line.isprintable() for line in text.splitlines())
        assert r"\x1b[2J\u202e[bold]x" in text
    assert str(one).startswith(r"\x1b[2J\u202e[bold]x (serial ")
    assert token_json(one)["label"] == evil


def test_measurements_are_shown_beside_their_targets() -> None:
    measured = [
        Measured(SpeedTarget.KEY_GENERATION, MeasuringPlace.TOKEN, (0.2,)),
        Measured(SpeedTarget.SEALING, MeasuringPlace.TOKEN, (0.0001,)),
        Measured(SpeedTarget.SIGNING_ECDSA, MeasuringPlace.SOFTWARE, (0.001,), "no mechanism"),
    ]
    text = shown(
        report_table(
            MeasuringReport(measured, [Check("a", is_right=True, found="x"), Check("b", is_right=False, found="y")])
        )
    )
    assert "< 100 ms, > 10/s  missed" in text
    assert "< 1 ms            met" in text
    assert "software (no mechanism)" in text
    assert "WRONG" in text


def test_machines_get_the_same() -> None:
    assert token_json(TOKEN)["flags"] == [
        "rng",
        "login-required",
        "user-pin-initialized",
        "initialized",
        "user-pin-count-low",
    ]
    assert list(differences(token_json(TOKEN), ListedTokenRow)) == []
    assert list(differences(key_json(KEY), ListedKeyRow)) == []
    assert token_json(TOKEN)["pin"] == "count-low"
    assert token_json(replace(TOKEN, flags=0))["pin"] is None, "there is none"
    assert (key_json(KEY)["identity"], key_json(KEY)["version"]) == ("chat", 1)
    assert key_json(replace(KEY, label="mine"))["identity"] is None


@pytest.mark.parametrize("width", [200, 80, 60, 48])
def test_what_is_copied_out_of_a_table_is_never_cut(width: int) -> None:
    token = replace(TOKEN, serial="5f2d1c04a7e3b986", slot=1_657_469_622, model="SoftHSM v2")
    several = replace(KEY, uses=("sign", "sign_recover", "decrypt", "unwrap", "derive"))
    made = datetime(2026, 11, 25, 10, 39, tzinfo=UTC)
    below: HierarchyRow = {
        **as_json(ManagedKey("tickets", 3, made, quota=5, activated=made, retired=made)),
        "id": "plexigate/tickets:3",
        "until": None,
        "protects": "the secret of session tickets",
        "files": None,
        "if_lost": "each client makes one more full handshake",
    }
    tables = (token_table([token]), key_table(token, [KEY, several]), hierarchy_table([below]))
    text = "".join(shown(table, width) for table in tables)
    assert "…" not in text
    for copied in (token.serial, str(token.slot), NAME.label, NAME.id.hex(), below["id"]):
        assert copied in text


def test_uses_stand_below_each_other_before_keys_are_no_table() -> None:
    several = replace(KEY, uses=("sign", "sign_recover", "decrypt", "unwrap"))
    lines = shown(key_table(TOKEN, [KEY, several]), 105).splitlines()
    assert lines[2].split() == [NAME.label, NAME.id.hex(), "ecdsa-p256", "sign", "yes", "yes"]
    assert lines[3].split() == [NAME.label, NAME.id.hex(), "ecdsa-p256", "sign,", "yes", "yes"]
    assert lines[4].split() == ["sign_recover,"]
