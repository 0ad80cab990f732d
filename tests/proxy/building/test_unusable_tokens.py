"""What a worker makes of the parent's word about tokens."""

from dataclasses import replace

from proxy.building.unusable_tokens import NONE_UNUSABLE, UnusableTokens
from proxy.processes.messages.questions import ToldToken


def told(condition: str, *, module_is_down: bool = False) -> ToldToken:
    return ToldToken(condition, f"it is {condition}", module_is_down)


def test_only_what_is_not_well_is_left_alone() -> None:
    closed = UnusableTokens.told({"a": told("well"), "b": told("unwell"), "c": told("pin_refused")})
    assert [name in closed for name in "abcd"] == [False, True, True, False]
    assert [closed.is_refused(name) for name in "abcd"] == [False, False, True, False]
    assert closed.seen == {"a"}
    assert not closed.is_module_left_out
    assert "b" not in NONE_UNUSABLE


def test_the_reason_is_told_and_nobody_fails_for_it() -> None:
    closed = UnusableTokens.told({"a": told("well"), "b": told("absent"), "c": told("pin_refused")})
    assert closed.fault("a") is None
    for name, remedy in (("b", "a token that answers"), ("c", "plexigate hsm unlatch")):
        fault = closed.fault(name)
        assert fault is not None
        assert fault.is_expected
        assert "which is not checked: it is" in fault.found
        assert remedy in fault.allowed


def test_whoever_only_looks_waits_for_none() -> None:
    fault = replace(UnusableTokens.told({"a": told("pin_refused")}), is_waited_for=False).fault("a")
    assert fault is not None
    assert not fault.is_expected


def test_a_module_that_hangs_is_left_out() -> None:
    assert UnusableTokens.told({"a": told("absent", module_is_down=True)}).is_module_left_out


def test_with_its_module_all_tokens_are_left_alone() -> None:
    closed = UnusableTokens.told(
        {"a": told("absent", module_is_down=True), "b": told("well"), "c": told("pin_refused")}
    )
    assert all(name in closed for name in "abc")
    assert closed.seen == frozenset()
    assert [closed.is_refused(name) for name in "abc"] == [False, False, True]
    fault = closed.fault("b")
    assert fault is not None
    assert (
        fault.found
        == "which is not checked: its module is not loaded, because the token a hangs each process that loads it"
    )
