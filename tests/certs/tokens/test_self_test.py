"""A token is tried with keys that are gone afterwards."""

from contextlib import nullcontext
from dataclasses import replace

from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.calls import Answer, Call
from certs.hsm.clients.client import TokenProcess
from certs.hsm.facts import TokenFacts
from certs.hsm.key_kinds import KeyKind
from certs.hsm.key_names import TokenKeyName
from certs.hsm.targets import MeasuringPlace, SpeedTarget
from certs.tokens.self_test import SelfTest


def facts_of(token: TokenProcess) -> TokenFacts:
    return next(one for one in token.perform(calls.tokens()) if one.label == "plexi")


def test_everything_is_measured_and_right(access: TokenAccess, token: TokenProcess) -> None:
    assert access.token.label == "plexi"
    token.perform(calls.generate(TokenKeyName("plexigate-probe", KeyKind.RSA_3072, 1)))  # left by one that was killed
    steps: list[str] = []
    report = SelfTest(facts_of(token), lambda: nullcontext(token.perform), steps.append, 0.05).run()
    assert report.is_right, report.as_json()["checks"]
    places = {one.target: one.place for one in report.measured}
    assert set(places) == set(SpeedTarget)
    assert (
        places[SpeedTarget.SIGNING_ECDSA]
        is places[SpeedTarget.SEALING]
        is places[SpeedTarget.KEY_GENERATION]
        is MeasuringPlace.TOKEN
    )
    assert places[SpeedTarget.SIGNING_MLDSA] is places[SpeedTarget.ENCAPSULATION] is MeasuringPlace.SOFTWARE
    assert "ECDSA in the token" in steps
    assert token.perform(calls.keys()) == []


def test_a_token_that_opens_what_was_altered_is_wrong(token: TokenProcess) -> None:
    def careless(call: Call[Answer], /) -> Answer:
        if call.name == "decrypt":
            return call.read(b"plexigate hsm test")
        return token.perform(call)

    report = SelfTest(facts_of(token), lambda: nullcontext(careless), lambda _: None, 0.05).run()
    wrong = [check.what for check in report.checks if not check.is_right]
    assert wrong == ["AES-256-GCM that was altered is refused"]


def test_a_token_that_signs_something_else_is_wrong(token: TokenProcess) -> None:
    def confused(call: Call[Answer], /) -> Answer:
        if call.name == "sign":
            others = {**call.arguments, "data": bytes(len(call.arguments["data"]))}
            return token.perform(replace(call, arguments=others))
        return token.perform(call)

    report = SelfTest(facts_of(token), lambda: nullcontext(confused), lambda _: None, 0.05).run()
    wrong = [check.what for check in report.checks if not check.is_right]
    assert wrong == ["ECDSA signature is verified", "RSA signature is verified"]
    assert not report.is_right


def test_a_token_without_aes_is_told_so(token: TokenProcess) -> None:
    facts = facts_of(token)
    without = TokenFacts.from_document(
        {
            **{name: getattr(facts, name) for name in facts.__slots__},
            "mechanisms": [m for m in facts.mechanisms if "AES" not in m],
        }
    )
    report = SelfTest(without, lambda: nullcontext(token.perform), lambda _: None, 0.05).run()
    (sealing,) = [one for one in report.measured if one.target is SpeedTarget.SEALING]
    assert sealing.place is MeasuringPlace.SOFTWARE
    assert sealing.why.startswith("the token has no CKM_AES")
    assert len(sealing.seconds) > 1
    assert report.is_right
    assert any(check.what == "AES-256-GCM that was altered is refused" for check in report.checks)
