"""What the running proxy says of a key, and what `plexigate hsm destroy` makes of that."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from certs.hsm.facts import KeyClass, KeyFacts, TokenFacts
from proxy.admin.client import AdminUnreachable
from proxy.commands.hsm.running import RunningProxy, StillSigns, Unanswered
from proxy.commands.hsm.sources import NotChosen

TOKEN = TokenFacts(0, "plexi", "42", "", "", 0, None, None, ())
KEY = KeyFacts("chat", b"\x01", KeyClass.PRIVATE, "ecdsa-p256", 256, None, None, None, None, None, ())


@dataclass
class Proxy:
    """Answers for its workers: each with whether it serves by the key, and whether it can sign."""

    workers: list[tuple[bool | None, bool | None]]
    status: int = 200
    path: Path = Path("/run/plexigate.sock")
    uses: list[str] | None = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def post(self, path: str, query: Mapping[str, str], seconds: float | None = None) -> tuple[int, dict[str, Any]]:
        assert seconds
        self.asked.append((path, dict(query)))
        if not self.workers:
            raise AdminUnreachable("/run/plexigate.sock", "Connection refused", "is Plexigate running?")
        rows = [{"slot": slot, "is_used": used, "signs": signs} for slot, (used, signs) in enumerate(self.workers)]
        uses = {} if self.uses is None else {"uses": self.uses}
        return self.status, {"workers": rows, "detail": "an internal error", **uses}


def running(*workers: tuple[bool | None, bool | None], status: int = 200) -> tuple[RunningProxy, Proxy]:
    proxy = Proxy(list(workers), status)
    return RunningProxy(proxy), proxy


def test_a_key_that_a_worker_serves_by_is_in_use() -> None:
    one, proxy = running((False, False), (True, True), (True, None))
    with pytest.raises(NotChosen, match="worker 1, 2 of the running proxy signs with chat of token plexi"):
        one.refuse_used(TOKEN, KEY)
    assert proxy.asked == [("/keys/try", {"token": "plexi", "serial": "42", "object": "chat", "id": "01"})]
    running((False, True))[0].refuse_used(TOKEN, KEY)


def test_a_key_that_the_parent_needs_is_in_use() -> None:
    one, proxy = running((False, False))
    proxy.uses = ["sealing.key", "audit.checkpoint_key"]
    with pytest.raises(
        NotChosen, match=r"proxy uses chat of token plexi: sealing\.key, audit\.checkpoint_key; allowed"
    ):
        one.refuse_used(TOKEN, KEY)
    proxy.uses = None
    with pytest.raises(Unanswered, match="the proxy has another version"):
        one.refuse_used(TOKEN, KEY)


def test_gone_is_what_no_worker_can_sign_with() -> None:
    assert running((False, False))[0].verify_gone(TOKEN, KEY).startswith("1 worker of the running proxy tried it")
    assert running((False, False), (False, False))[0].verify_gone(TOKEN, KEY).startswith("2 workers")
    for left in (True, None):
        with pytest.raises(StillSigns, match="worker 1 still signs with it or does not answer"):
            running((False, False), (False, left))[0].verify_gone(TOKEN, KEY)


def test_without_a_proxy_nobody_is_asked_and_that_is_said(tmp_path: Path) -> None:
    config = tmp_path / "p.toml"
    config.write_text(f'admin.socket = "{tmp_path}/none.sock"\n')
    one = RunningProxy.of(config)
    one.refuse_used(TOKEN, KEY)
    said = one.verify_gone(TOKEN, KEY)
    assert said.startswith("The workers were not asked whether they still sign with it: ")
    assert "none.sock" in said


def test_only_the_socket_of_a_configuration_says_by_its_absence_that_none_runs(tmp_path: Path) -> None:
    config, path = tmp_path / "p.toml", tmp_path / "s.sock"
    config.write_text(f'admin.socket = "{path}"\n')
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    for reason in ("Connection refused", "No such file or directory"):
        RunningProxy.of(config).refuse_used(TOKEN, KEY)
        for one in (RunningProxy.of(config, path), RunningProxy.of(None, path)):
            with pytest.raises(
                Unanswered, match=f"cannot verify that chat is not in use: .*s.sock: {reason}; .*--unverified"
            ):
                one.refuse_used(TOKEN, KEY)
        path.unlink(missing_ok=True)


def test_a_proxy_that_is_silent_is_not_taken_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may sign with the key."""
    monkeypatch.setattr("proxy.commands.hsm.running._ALIVE_SECONDS", 0.05)
    config = tmp_path / "p.toml"
    config.write_text(f'admin.socket = "{tmp_path}/s.sock"\n')
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(f"{tmp_path}/s.sock")
        stopped.listen()
        with pytest.raises(Unanswered, match=r"s.sock: no answer within 0.05 s"):
            RunningProxy.of(config).refuse_used(TOKEN, KEY)


def test_a_socket_that_cannot_be_asked_is_not_taken_for_none(tmp_path: Path) -> None:
    config = tmp_path / "p.toml"
    config.write_text(f'admin.socket = "{tmp_path}/s.sock"\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(f"{tmp_path}/s.sock")
        with pytest.raises(Unanswered, match=r"s.sock: Protocol wrong type for socket"):
            RunningProxy.of(config).refuse_used(TOKEN, KEY)


@pytest.mark.parametrize(
    ("workers", "status", "said"),
    [
        ((), 200, "Connection refused"),
        (((False, False),), 500, "an internal error"),
        (((False, False), (None, None)), 200, "worker 1 of the running proxy does not answer"),
    ],
)
def test_a_proxy_that_does_not_answer_stops_the_destruction(
    workers: tuple[tuple[bool | None, bool | None], ...], status: int, said: str
) -> None:
    with pytest.raises(Unanswered, match=f"cannot verify that chat is not in use: .*{said}"):
        running(*workers, status=status)[0].refuse_used(TOKEN, KEY)


def test_a_proxy_that_answers_no_more_may_still_sign_with_what_is_gone() -> None:
    with pytest.raises(StillSigns, match=r"chat is gone from token plexi, but .*an internal error; restart the proxy"):
        running((False, False), status=500)[0].verify_gone(TOKEN, KEY)
