"""Tokens are found by what was asked for, and a PIN is tried where it does no harm."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from certs.hsm.access import TokenAccess, TokenChoice
from certs.hsm.clients import calls
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import (
    LatchUnusable,
    ModuleUnusable,
    PinFinalTry,
    PinLatched,
    PinRefused,
    TokenAmbiguous,
    TokenMissing,
)
from certs.hsm.facts import PinState
from certs.hsm.process.module import in_time
from certs.hsm.process.pin_latch import release_by_name
from certs.hsm.secret import Secret
from tests.hsm_tokens import PIN, SO_PIN, SoftHsm, dishonest, loaded, tell_apart, through, token_process


def test_tokens_say_who_they_are(hsm: SoftHsm) -> None:
    hsm.init_token("plexi")
    with loaded(hsm.module) as process:
        plexi, empty = process.perform(calls.tokens())
    assert (plexi.label, plexi.model, plexi.manufacturer, plexi.is_initialized) == (
        "plexi",
        "SoftHSM v2",
        "SoftHSM project",
        True,
    )
    assert len(plexi.serial) == 16
    assert {"CKM_ECDSA", "CKM_RSA_PKCS_PSS", "CKM_AES_GCM"} <= set(plexi.mechanisms)
    assert "CKM_ML_DSA" not in plexi.mechanisms
    assert plexi.pin_state is PinState.FINE
    assert not empty.is_initialized


def test_what_was_late_is_not_answered_while_the_process_begins_again() -> None:
    begun, answered = threading.Event(), threading.Event()
    seen = list[bool]()

    def begin_again() -> None:
        begun.set()
        seen.append(answered.wait(0.1))

    with in_time(begin_again, 0.0):
        assert begun.wait(10)
    answered.set()
    assert seen == [False]
    with in_time(begin_again, 3_600.0):
        pass
    assert len(seen) == 1


def test_a_token_is_found_by_label_serial_or_slot(hsm: SoftHsm, access: TokenAccess) -> None:
    hsm.init_token("other")
    with loaded(hsm.module) as process:
        facts = next(one for one in process.perform(calls.tokens()) if one.label == "plexi")
    for choice in (
        TokenChoice(serial=facts.serial),
        TokenChoice(slot=facts.slot),
        TokenChoice("plexi", facts.serial, facts.slot),
    ):
        with TokenProcess() as process:
            assert process.log_in(replace(access, token=choice)).label == "plexi"


def test_a_token_that_is_not_there_is_said_with_those_that_are(access: TokenAccess) -> None:
    with (
        TokenProcess() as process,
        pytest.raises(TokenMissing, match=r"no token with label wrong; .* plexi \(serial"),
    ):
        process.log_in(replace(access, token=TokenChoice("wrong")))


def test_two_tokens_of_one_label_are_ambiguous(hsm: SoftHsm, access: TokenAccess) -> None:
    hsm.init_token("plexi")
    with TokenProcess() as process, pytest.raises(TokenAmbiguous, match="2 tokens with label plexi"):
        process.log_in(access)


@pytest.mark.parametrize("name", ["none.so", "text.so"])
def test_what_is_no_module_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.so").write_text("no library")
    with TokenProcess() as process, pytest.raises(ModuleUnusable, match=name):
        process.perform(calls.load(tmp_path / name))


def test_a_wrong_pin_is_tried_once_by_all_processes_together(hsm: SoftHsm, access: TokenAccess) -> None:
    with dishonest(hsm) as counting:
        wrong = through(hsm.access("plexi", "wrong-pin"), counting.module)
        with pytest.raises(PinRefused, match="CKR_PIN_INCORRECT"):
            TokenProcess.logged_in(wrong)
        for _ in range(3):  # a crash loop
            with pytest.raises(PinLatched, match=r"CKR_PIN_INCORRECT.*hsm unlatch plexi"):
                TokenProcess.logged_in(wrong)
        assert counting.logins == 1
        tell_apart(hsm.latches, "wrong-pin", PIN)
        with token_process(through(access, counting.module)) as process:
            assert process.perform(calls.keys()) == []
        assert counting.logins == 2


def test_an_operator_lets_the_same_pin_be_tried_again(hsm: SoftHsm, access: TokenAccess) -> None:
    with dishonest(hsm, "pin-expired") as counting:
        expired = through(access, counting.module)
        with pytest.raises(PinRefused, match="CKR_PIN_EXPIRED"):
            TokenProcess.logged_in(expired)
        assert release_by_name(hsm.latches, "plexi") == ["plexi"]
        with pytest.raises(PinRefused):
            TokenProcess.logged_in(expired)
        assert counting.logins == 2


def test_a_token_that_was_given_a_wrong_pin_says_so_before_the_next_login(hsm: SoftHsm, access: TokenAccess) -> None:
    with pytest.raises(PinRefused):
        TokenProcess.logged_in(hsm.access("plexi", "wrong-pin"))
    tell_apart(hsm.latches, "wrong-pin", PIN)
    with TokenProcess() as process:
        assert process.log_in(access).pin_state is PinState.COUNT_LOW


def test_the_last_try_is_left_to_an_operator(hsm: SoftHsm, access: TokenAccess) -> None:
    with dishonest(hsm, "final-try") as counting:
        with pytest.raises(PinFinalTry, match="CKF_USER_PIN_FINAL_TRY"):
            TokenProcess.logged_in(through(access, counting.module))
        assert counting.logins == 0
        with token_process(replace(access, module=counting.module, may_use_final_try=True)):
            assert counting.logins == 1


def test_a_locked_token_is_left_alone(hsm: SoftHsm, access: TokenAccess) -> None:
    with dishonest(hsm, "locked") as counting:
        with pytest.raises(PinRefused, match="CKR_PIN_LOCKED"):
            TokenProcess.logged_in(through(access, counting.module))
        assert counting.logins == 0


def test_no_pin_is_tried_when_a_refusal_could_not_be_remembered(hsm: SoftHsm, access: TokenAccess) -> None:
    hsm.latches.write_text("a file in the way")
    with dishonest(hsm) as counting:
        with pytest.raises(LatchUnusable, match="found"):
            TokenProcess.logged_in(through(access, counting.module))
        assert counting.logins == 0


def test_a_new_token_is_set_up(hsm: SoftHsm) -> None:
    with loaded(hsm.module) as process:
        facts = process.perform(calls.init_token("fresh", Secret(SO_PIN), Secret(PIN)))
    assert facts.label == "fresh"
    with token_process(hsm.access("fresh")) as process:
        assert process.perform(calls.keys()) == []
