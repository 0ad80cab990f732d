"""Keys that are made in a token, sign there in every worker, and are destroyed there; with a CA whose own key is in the token too."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from tests.hsm_modules import ON_REQUEST, Tpm, tpm
from tests.hsm_tokens import SoftHsm, softhsm, token_process
from tests.integration.rotation import SECOND, RotatingScene, rotating
from tests.waiting import until_found

SAMPLES = 12
MORE_THAN_COPIES = 12  # `module_instances` makes eight


@pytest.fixture(params=[pytest.param(softhsm, id="softhsm"), *ON_REQUEST])
def hsm(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    place = tmp_path / "hsm"
    place.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(place))
    with request.param(place) as made:
        yield made


def labels(access: TokenAccess, identity: str) -> list[str]:
    """The keys of an identity in the token, without their owner."""
    with token_process(access) as process:
        found = [key for key in process.perform(calls.keys()) if key.label.startswith(f"{identity}.")]
    assert all(key.is_sealed_in and key.is_sign_only for key in found)
    return [f"{identity}.{key.label.rpartition('.ecdsa')[2]}" for key in found]


def test_keys_never_leave_the_token_and_end_there(hsm: SoftHsm, tmp_path: Path) -> None:
    access = hsm.init_token("plexi")
    tables = f'[hsm]\nmodule = "{hsm.module}"\n[hsm.token.plexi]\npin_file = "{hsm.pin_file(access.pin.reveal())}"\nmax_sessions = 32\n'
    tables += '[audit]\nfile = "audit.jsonl"\n'
    settings: dict[str, Any] = {
        "key_spec": "ec-p256@plexi",
        "second": SECOND,
        "issuer": 'key = "ec-p384@plexi"\nroot = "ec-p384@plexi"',
        "extra": tables,
    }
    with rotating(tmp_path, RotatingScene, **settings) as running:
        first = running.served()
        assert labels(access, "local") == ["local.-p256.v1"]
        assert labels(access, "ca.internal") == ["ca.internal.-p384.v1"] * 2, "of the root, and of the intermediate"
        rotated = running.rotate(credential="ec")
        assert rotated[-1] == {"ok": True}, rotated
        second = {running.served() for _ in range(SAMPLES)}
        assert len(second) == 1
        assert first not in second
        assert labels(access, "local") == ["local.-p256.v1", "local.-p256.v2"], (
            "the previous one is kept for a rollback"
        )
        assert running.commands.post("/certificates/local/rollback", {"credential": "ec"})[0] == 200
        assert {running.served() for _ in range(SAMPLES)} == {first}
        compromised = running.rotate(credential="ec", compromised="1")
        assert compromised[-1] == {"ok": True}, compromised
        assert labels(access, "local") == ["local.-p256.v2", "local.-p256.v3"], "and a compromised one is gone at once"
        assert not [path for path in running.state.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
        wrong = running.events("rotation_failed", "reload_failed", "error", "worker_ended", "worker_stuck")
    assert wrong == []
    assert audited(running.directory / "audit.jsonl", "local.ecdsa-p256.") == [
        ("generate", "v1@plexi"),
        ("generate", "v2@plexi"),
        ("generate", "v3@plexi"),
        ("destroy", "v1@plexi"),
    ]


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tpm]:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "latches"))
    (tmp_path / "hsm").mkdir()
    with tpm(tmp_path / "hsm") as made:
        yield made


@pytest.mark.every_module
def test_a_module_that_shows_no_later_keys_serves_them(chip: Tpm, tmp_path: Path) -> None:
    """That of a TPM. It is loaded again for each of them, until it is time for another process."""
    pin = chip.pin_file(chip.init_token("plexi").pin.reveal())
    tables = f'[hsm]\nmodule = "{chip.module}"\n[hsm.token.plexi]\npin_file = "{pin}"\n'
    with rotating(tmp_path, RotatingScene, key_spec="ec-p256@plexi", extra=tables) as running:
        seen, replaced = {running.served()}, 0
        while len(seen) < MORE_THAN_COPIES:
            while not running.rotate(credential="ec")[-1]["ok"]:
                replaced += 1
                before = set(running.worker_pids)
                until_found(lambda: before != set(running.worker_pids))  # noqa: B023 - looked at within this turn
            (now,) = {running.served() for _ in range(SAMPLES)}
            assert now not in seen
            seen.add(now)
        assert 1 <= replaced < len(seen)
        assert running.events("worker_ended", "worker_stuck", "error") == []


def audited(file: Path, key: str) -> list[tuple[str, str]]:
    """What the audit log has of keys whose names begin so: what was done, and the rest of the name."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    operations = [line for line in lines if line["kind"] == "operation" and line["key"].startswith(key)]
    assert {(one["actor"], one["outcome"]) for one in operations} == {("parent", "done")}
    return [(one["action"], one["key"].removeprefix(key)) for one in operations]
