"""When a worker takes a turn to log in, and what it tells the others. One answer stands in for what the token says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.signing.login_turns import LoginTurns
from proxy.signing.token import TokenPinRefused
from proxy.tls.tokens import token_login
from proxy.tls.tokens.module_instances import ModuleInstances
from proxy.tls.tokens.token_key import TokenKey
from proxy.tls.tokens.token_login import TokenLogin
from tests.certificates import Authority
from tests.fakes_signing import token_key

INSTANCES = ModuleInstances(Path("/usr/lib/module.so"))


@pytest.fixture
def turns() -> Iterator[LoginTurns]:
    made = LoginTurns.create()
    yield made
    made.close()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> TokenKey:
    return token_key(Authority(tmp_path_factory.mktemp("credentials")).issue("chat"))


def answer(monkeypatch: pytest.MonkeyPatch, *, refuses: bool) -> None:
    monkeypatch.setattr(token_login, "refuses_pin", lambda *_: refuses)


def fail(login: TokenLogin, key: TokenKey) -> None:
    with login.turn(key):
        raise OSError("not loaded")


def test_refused_pin_is_told_to_the_others(turns: LoginTurns, key: TokenKey, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, refuses=True)
    login = TokenLogin(INSTANCES, turns)
    assert login.is_refused(key)
    with pytest.raises(TokenPinRefused):
        fail(login, key)
    with pytest.raises(TokenPinRefused), turns.turn(key.token):
        raise AssertionError


def test_what_else_fails_is_nobody_elses(turns: LoginTurns, key: TokenKey, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, refuses=False)
    with pytest.raises(OSError, match="not loaded"):
        fail(TokenLogin(INSTANCES, turns), key)
    with turns.turn(key.token):
        pass


def test_a_process_that_is_alone_waits_for_nobody(key: TokenKey, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, refuses=True)
    with pytest.raises(OSError, match="not loaded"):
        fail(TokenLogin(INSTANCES, None), key)
