"""Each key of each token makes a signature; what keeps it from that is told."""

import statistics
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from certs.hsm.errors import CallFailed, PinFinalTry
from certs.hsm.facts import TokenFacts
from certs.tokens.token_use import TokenUse
from proxy.doctor.checkup import Examined
from proxy.doctor.credentials.token_keys import (
    TOKEN_KEYS,
    TokenLook,
    look_at,
    seen_findings,
    token_findings,
    token_places,
    uses_of,
)
from proxy.doctor.finding import Finding
from tests.configurations import Site
from tests.hsm.shim import CKR_DEVICE_ERROR, TokenControl
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token
from tests.parts import part
from tests.proxy.doctor.checkups import NOTHING, answering, configured, states
from tests.tried_tokens import use_of

NOW = datetime.now(UTC)  # noqa: TID251 - certificates of tests are relative to it
INITIALIZED, COUNT_LOW = 0x0400, 0x10000
FACTS = TokenFacts(1, "plexi", "77", "m", "v", INITIALIZED, 1, 16, ())


def judged(use: TokenUse, answer: TokenLook | Exception) -> list[Finding]:
    return list(token_findings(use, answer))


def test_key_that_signs_is_ok_with_its_speed(use: TokenUse) -> None:
    look = look_at(use)
    (seconds,) = look.seconds.values()
    assert isinstance(seconds, list)
    assert 0 < statistics.median(seconds) < 10
    first, key = judged(use, look)
    assert (first.subject, first.state, key.state) == ("plexi", "ok", "ok")
    assert "full handshakes a second for each session" in key.found


def test_key_that_does_not_sign_is_a_failure(use: TokenUse, control: TokenControl) -> None:
    with control.failing(CKR_DEVICE_ERROR, "C_Sign"):
        _, key = judged(use, look_at(use))
    assert key.state == "failure"
    assert "CKR_DEVICE_ERROR" in key.found


def test_pin_that_is_refused_and_then_latched(hsm_site: HsmSite, plexi: Token, control: TokenControl) -> None:
    # the command takes the label, not the name in the configuration
    wrong = replace(use_of(hsm_site.hsm, plexi, pin="0000-wrong"), name="signing")
    for _ in range(2):
        with pytest.raises(Exception, match="plexi") as caught:
            look_at(wrong)
        assert isinstance(caught.value, Exception)
        (finding,) = judged(wrong, caught.value)
        assert (finding.state, "plexigate hsm unlatch plexi" in finding.remedy) == ("failure", True)
        assert "0000-wrong" not in str(finding)
    assert control.calls("C_Login") == 1
    (finding,) = judged(wrong, PinFinalTry("plexi"))
    assert "--token signing --final-try" in finding.remedy


def test_what_a_token_says_of_itself(use: TokenUse) -> None:
    low = judged(use, TokenLook(replace(FACTS, flags=INITIALIZED | COUNT_LOW, session_limit=4), {}))
    assert states(low) == [("plexi", "warning"), ("plexi, sessions", "warning"), ("plexi, keys", "skipped")]
    slow = judged(use, TokenLook(FACTS, {"chat": [0.4, 0.5, 0.6]}))
    assert states(slow)[1] == ("plexi, chat", "warning")


def test_other_errors(use: TokenUse) -> None:
    assert states(judged(use, CallFailed("sign", "CKR_GENERAL_ERROR"))) == [("plexi", "failure")]
    assert states(judged(use, OSError("no room"))) == [("plexi", "unknown")]


def examined_of(file: Path, **changes: Any) -> Examined:
    return replace(NOTHING, configured=configured(file), now=lambda: NOW, **changes)


def test_tokens_of_a_configuration(hsm_site: HsmSite, plexi: Token) -> None:
    key = hsm_site.hsm.share("chat", plexi)
    identity = hsm_site.identity("chat", key, "pkcs11:token=plexi;object=chat")
    file = hsm_site.write(hsm_site.tokens(plexi), identity)
    (checkup,) = TOKEN_KEYS
    found = states(checkup.look(examined_of(file)))
    assert [state for _, state in found] == ["ok", "ok"]
    token = {"token": "plexi", "parent": "well", "detail": "", "workers": [], "missing_keys": []}
    running = answering({"tokens": [token]})
    assert states(checkup.look(examined_of(file, running=running)))[2:] == [("plexi, running proxy", "ok")]


def test_keys_that_the_rotation_has_made_are_tried_too(hsm_site: HsmSite, plexi: Token) -> None:
    file = hsm_site.write(hsm_site.tokens(plexi), hsm_site.issued_identity("chat", f"ec-p256@{plexi.label}"))
    hsm_site.issue(file, "chat")
    (use,) = uses_of(configured(file), NOTHING.now())
    assert len(use.keys) == 1


def test_pin_file_that_cannot_be_read(hsm_site: HsmSite, plexi: Token) -> None:
    file = hsm_site.write(hsm_site.tokens(plexi), Site.make(hsm_site.hsm.directory).identity)
    for path in hsm_site.hsm.directory.rglob("*pin*"):
        if path.is_file():
            path.chmod(0o644)
    (checkup,) = TOKEN_KEYS
    (finding,) = checkup.look(examined_of(file))
    assert (finding.state, "mode 0644" in finding.found) == ("failure", True)


def test_configuration_without_tokens(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    (checkup,) = TOKEN_KEYS
    assert states(checkup.look(examined_of(site.write(site.minimal)))) == [("tokens", "skipped")]


def test_view_of_the_running_proxy() -> None:
    worker = {"slot": 0, "state": "closed"}
    token = {"token": "plexi", "parent": "well", "detail": "", "workers": [worker], "missing_keys": []}
    away = {**token, "parent": "absent", "detail": "no such token"}
    opened = {**token, "workers": [worker, {"slot": 1, "state": "open"}]}
    missing = {**token, "missing_keys": [{"key": "pkcs11:object=x", "identities": ["chat"]}]}
    found = list(seen_findings(part({"tokens": [token, away, opened, missing]})))
    assert [str(one.state) for one in found] == ["ok", "failure", "warning", "ok", "failure"]
    assert "workers 1 do not use it" in found[2].found
    assert "pkcs11:object=x is missing, for chat" in found[4].found


def test_places_of_a_token_are_its_table_and_its_keys(hsm_site: HsmSite, plexi: Token) -> None:
    public = hsm_site.hsm.generate(plexi, "chat")
    identity = hsm_site.identity("localhost", public, "pkcs11:token=plexi;object=chat")
    loaded = configured(hsm_site.write(hsm_site.tokens(plexi), identity, workers=1))
    assert token_places(loaded) == {"hsm.token.plexi": "plexi", "identity.localhost.key": "plexi"}
    assert token_places(None) == {}
