"""What the parent owes to tokens: one try of a PIN for all processes, probes beside those of the workers, and workers that see."""

import json
import os
import signal
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from certs.hsm.process.pin_latch import release_by_name
from certs.sealing.sealing_key import sealing_key_name
from proxy.admin.client import UnixAdminClient
from proxy.commands.cli import app
from tests import prepared
from tests.certs.authority import private_key
from tests.configurations import identity
from tests.hsm.faults import SIGNATURES
from tests.hsm.shim import CKR_DEVICE_ERROR, CKR_PIN_INCORRECT, FUNCTIONS
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import SoftHsm, Token
from tests.hsm_tokens import tell_apart
from tests.integration.gateway import complaints, events
from tests.integration.hsm_scene import ROUTE, Load, Scene, ask, running, scene_of
from tests.integration.stage import workers_of
from tests.programs import PLEXIGATE

if TYPE_CHECKING:
    import subprocess

WRONG = "0000-wrong-pin"
NO_HANDSHAKE = (ssl.SSLError, ConnectionError)
QUICK = 'reload_timeout = "3s"\n'


def written(
    site: HsmSite, *tokens: Token, workers: int = 2, key: Sequence[str] = ("plexi", "spare"), top: str = ""
) -> Path:
    """Localhost by a key of the tokens plexi and spare."""
    public = site.hsm.share("chat", *tokens)
    uris = [f"pkcs11:token={name};object=chat" for name in key]
    return site.write(site.tokens(*tokens), site.identity("localhost", public, *uris), ROUTE, workers=workers, top=top)


def test_a_wrong_pin_costs_one_login_over_starts_reload_and_two_workers(hsm_site: HsmSite) -> None:
    plexi, spare = hsm_site.hsm.add_token("plexi"), hsm_site.hsm.add_token("spare", "another-pin")
    configuration = written(hsm_site, plexi, spare)
    hsm_site.hsm.pin_file(plexi, WRONG)
    control, latches = hsm_site.hsm.shim.token("plexi"), hsm_site.directory / "state" / "pin-latch"
    for _ in range(1):  # as a service manager starts it repeatedly
        with running(hsm_site, configuration) as run:
            one = scene_of(hsm_site, run)
            one.handshake(one.client())  # by the spare
    with running(hsm_site, configuration) as run:
        one = scene_of(hsm_site, run)
        (event,) = events(run.output, "token_condition")
        assert event["condition"] == "pin_refused"
        assert event["pin_source"].endswith("plexi.pin")
        assert "plexigate hsm unlatch plexi" in event["detail"]
        os.kill(run.pid, signal.SIGHUP)
        run.wait_for(lambda output: events(output, "reloaded") or None)
        for worker in workers_of(run.pid):
            os.kill(worker, signal.SIGKILL)
        one.until(lambda: len(events(run.output, "worker_joined")) == 2)
        one.handshake(one.client())
        assert one.metric("token_pin_refused", token="plexi") == 1
        assert one.metric("token_state", token="plexi", state="stopped") == 2
        one.until(lambda: one.metric("alerts", kind="pin_refused", urgency="critical") == 1)
        assert control.calls("C_Login") == 1
        # an operator lets it be tried again: by one process, once
        assert release_by_name(latches, "plexi") == ["plexi"]
        one.until(lambda: control.calls("C_Login") == 2 and len(list(latches.glob("*.json"))) == 1)
        tell_apart(latches, WRONG, "another" + WRONG)
        # a reload with another wrong one changes nothing
        hsm_site.hsm.pin_file(plexi, "another" + WRONG)
        os.kill(run.pid, signal.SIGHUP)
        (refusal,) = run.wait_for(lambda output: events(output, "reload_failed") or None)
        assert "CKR_PIN_INCORRECT" in json.dumps(refusal)
        assert control.calls("C_Login") == 3
        tell_apart(latches, "another" + WRONG, plexi.pin)
        hsm_site.hsm.pin_file(plexi)
        os.kill(run.pid, signal.SIGHUP)
        one.until(lambda: one.metric("token_state", token="plexi", state="closed") == 2)
        assert one.metric("token_pin_refused", token="plexi") == 0
        assert one.metric("token_parent_errors_total", token="plexi", error="CKR_PIN_INCORRECT") == 2
    assert complaints(run.output) == []


def test_a_pin_that_becomes_wrong_costs_two_logins_when_all_sessions_are_lost(hsm_site: HsmSite) -> None:
    """By the first of four workers that has to log in, and by the parent, which has to know whether it is so."""
    plexi, spare = hsm_site.hsm.add_token("plexi"), hsm_site.hsm.add_token("spare", "another-pin")
    configuration = written(hsm_site, plexi, spare, workers=4)
    with running(hsm_site, configuration) as run:
        one = scene_of(hsm_site, run)
        with Load(one, one.handshakes(one.client())).running(8) as load:
            load.more(100)
            before = one.plexi.calls("C_Login")
            with one.plexi.failing(CKR_PIN_INCORRECT, "C_Login"):
                hsm_site.hsm.try_wrong_pin(plexi)  # SoftHSM tells by its flags, as if it had been the workers' doing
                one.plexi.lose_sessions()
                load.more(200)
                one.until(lambda: one.metric("token_state", token="plexi", state="stopped") == 4)
                one.until(lambda: one.metric("token_pin_refused", token="plexi") == 1)
                load.more(50)
        assert one.plexi.calls("C_Login") - before <= 2
        assert load.errors == []


def test_both_must_find_a_token_well_and_the_parent_holds_nobody_up(hsm_site: HsmSite) -> None:
    plexi = hsm_site.hsm.add_token("plexi")
    configuration = written(hsm_site, plexi, key=["plexi"])
    with running(hsm_site, configuration) as run:
        one = scene_of(hsm_site, run)
        one.until(lambda: readiness(one) == (200, "ready"))

        def both(state: str) -> bool:
            return one.metric("token_state", token="plexi", state=state) == 2

        with one.plexi.failing(CKR_DEVICE_ERROR, *SIGNATURES):
            for _ in range(100):
                with pytest.raises(NO_HANDSHAKE):
                    one.handshake(one.client())
                if one.metric("token_state", token="plexi", state="closed") == 0:
                    break
            one.until(lambda: one.metric("token_parent_well", token="plexi") == 0)
            one.until(lambda: one.metric("token_parent_errors_total", token="plexi", error="CKR_DEVICE_ERROR") >= 3)
            status, reason = readiness(one)
            assert status == 503
            assert reason.startswith("identity localhost has no key that can sign in worker 0")
        began = time.monotonic()
        one.until(lambda: both("closed"))
        assert time.monotonic() - began < 2.0
        one.handshake(one.client())
        assert readiness(one) == (200, "ready")
        (token,) = asked(one, "/status")[1]["tokens"]
        assert (token["parent"], token["pin_refused"], token["session_limit"]) == ("well", False, 16)
        assert [worker["state"] for worker in token["workers"]] == ["closed", "closed"]
        assert token["sessions"] >= 4

        # a key that nobody uses is destroyed, and every worker tries it; one that a worker uses is not
        hsm_site.hsm.generate(plexi, "past", identifier="02")
        done = hsm(hsm_site, "destroy", "past", "--yes")
        assert done.returncode == 0, done.stderr
        assert "2 workers of the running proxy tried it: none can sign with it" in done.stdout
        configuration.write_text(configuration.read_text().replace("object=chat", "object=next"))
        done = hsm(hsm_site, "destroy", "chat", "--yes")
        assert done.returncode == 1
        assert "worker 0, 1 of the running proxy signs with chat of token plexi" in done.stderr
        one.handshake(one.client())
    assert complaints(run.output) == []


@pytest.mark.parametrize("fault", ["hangs", "fails"])
def test_start_with_a_module_that_hangs_or_fails_and_recovery(hsm_site: HsmSite, fault: str) -> None:
    plexi = hsm_site.hsm.add_token("plexi")
    configuration = written(hsm_site, plexi, key=["plexi"], top=QUICK)
    with ExitStack() as hanging:
        module = hsm_site.hsm.shim.token("")
        hanging.enter_context(
            module.hanging("C_Initialize") if fault == "hangs" else module.failing(CKR_DEVICE_ERROR, "C_Initialize")
        )
        with running(hsm_site, configuration) as run:
            one = scene_of(hsm_site, run)
            with pytest.raises(NO_HANDSHAKE):
                one.handshake(one.client())
            one.until(lambda: readiness(one)[0] == 503)
            hanging.close()
            one.until(lambda: readiness(one)[0] == 200)
            one.until(lambda: serves(one))
            assert not events(run.output, "worker_blind"), "each worker loads the module by itself"
    assert complaints(run.output) == []


@pytest.mark.parametrize("when", ["at a start", "later"])
def test_a_token_that_hangs_in_every_call_costs_the_other_one_of_its_module_nothing(
    hsm_site: HsmSite, when: str
) -> None:
    """It would keep OpenSSL's provider, and so a whole worker, in the module, and all who list the tokens."""
    tokens = hsm_site.hsm.add_token("plexi"), hsm_site.hsm.add_token("spare", "another-pin")
    configuration = written(hsm_site, *tokens)
    commands = [PLEXIGATE, "check", str(configuration)], [PLEXIGATE, "hsm", "list", "--config", str(configuration)]
    said_by: list[Future[subprocess.CompletedProcess[str]]] = []
    with ExitStack() as hanging, ThreadPoolExecutor() as pool:
        hang = hsm_site.hsm.shim.token("plexi").hanging(*FUNCTIONS)
        if when == "at a start":
            hanging.enter_context(hang)
            said_by += [pool.submit(prepared.run, one, hsm_site.hsm.environment) for one in commands]
        with (
            running(hsm_site, configuration) as run,
            Load(one := scene_of(hsm_site, run), one.handshakes(one.client()), pause=0.02).running(2) as load,
        ):
            one.until(lambda: readiness(one) == (200, "ready"))
            if when == "later":
                hanging.enter_context(hang)
            said = run.wait_for(lambda output: events(output, "token_condition") or None)[0]
            assert (said["token"], said["condition"]) == ("plexi", "unwell")
            os.kill(run.pid, signal.SIGHUP)
            run.wait_for(lambda output: events(output, "reloaded") or None)
            ended, *_ = workers_of(run.pid)
            os.kill(ended, signal.SIGTERM)  # the new one loads the module while the token hangs
            one.until(lambda: bool(events(run.output, "worker_joined")) and ended not in workers_of(run.pid))
            if when == "at a start":
                assert "slot" in said["detail"]
                checked, listed = (one.result() for one in said_by)
                assert (checked.returncode, listed.returncode) == (0, 1), checked.stdout + checked.stderr
                assert "which is not checked: no token with label plexi answers: slot" in " ".join(
                    checked.stdout.split()
                )
                assert "no answer within 3 s" in listed.stdout
                assert "keys of spare" in listed.stdout
                assert "no token with label plexi answers" in listed.stderr
            serving = workers_of(run.pid)
            assert one.metric("token_state", token="plexi", state="closed") == 0
            hanging.close()
            one.until(lambda: one.metric("token_state", token="plexi", state="closed") == 2)
            load.more(20)
            assert workers_of(run.pid) == serving
            assert not events(run.output, "module_skipped")
    assert load.errors == []
    assert complaints(run.output) == []


def test_a_token_that_is_made_later_is_used_by_the_same_workers(hsm_site: HsmSite) -> None:
    plexi = hsm_site.hsm.add_token("plexi")
    private = private_key("ecdsa-p256")
    key = hsm_site.hsm.share("chat", plexi, key=private)
    made = SoftHsm.make(hsm_site.directory / "later", hsm_site.hsm.shim.module)
    spare = made.add_token("spare", "another-pin")
    made.share("chat", spare, key=private)
    uris = ("pkcs11:token=spare;object=chat", "pkcs11:token=plexi;object=chat")
    configuration = hsm_site.write(
        hsm_site.tokens(plexi, spare), hsm_site.identity("localhost", key, *uris), ROUTE, workers=2
    )
    with running(hsm_site, configuration) as run, ExitStack() as closing:
        one = scene_of(hsm_site, run)
        old = one.connect(one.client())
        closing.callback(old.close)
        assert ask(old) == 502
        made.put_into(hsm_site.hsm)
        one.until(lambda: one.metric("token_state", token="spare", state="closed") == 2)
        assert "spare" not in {event["token"] for event in events(run.output, "worker_blind")}
        assert not events(run.output, "worker_joined")
        with one.plexi.failing(CKR_DEVICE_ERROR, *SIGNATURES):
            one.handshake(one.client())  # by the other one, as nobody else can
        assert ask(old) == 502
    assert complaints(run.output) == []


def test_issued_and_sealed_keys_whose_token_is_away_at_a_start_and_a_reload_come_by_themselves(
    hsm_site: HsmSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in hsm_site.hsm.environment.items():
        monkeypatch.setenv(name, value)
    plexi = hsm_site.hsm.add_token("plexi")
    files, sealed = (hsm_site.authority.issue(name, (f"{name}.test",)) for name in ("files", "sealed"))
    sealed_key = hsm_site.directory / "sealed.key.sealed"
    parts = (
        hsm_site.tokens(plexi),
        f'[sealing]\nkey = "pkcs11:token=plexi;object={sealing_key_name().label}"\ndirectory = "seals"\n',
        identity("files", ("files.test",), files),
        identity("sealed", ("sealed.test",), replace(sealed, key=sealed_key)),
        hsm_site.issued_identity("localhost", "ec-p256@plexi"),
        ROUTE,
        *(f'[[route]]\nhost = "{name}.test"\nupstream = "chat"\n' for name in ("files", "sealed")),
    )
    configuration = hsm_site.write(*parts)
    for command in (["init", "--no-recovery", "--yes"], ["seal", str(sealed_key), "--from", str(sealed.key)]):
        done = CliRunner().invoke(app, ["hsm", *command, "--config", str(configuration)])
        assert done.exit_code == 0, done.output
    hsm_site.issue(configuration, "localhost")
    (root,) = (hsm_site.directory / "issued" / "issuers" / "internal" / "root").glob("v*/chain.pem")
    away = SoftHsm.make(hsm_site.directory / "away", hsm_site.hsm.shim.module)
    hsm_site.hsm.put_into(away)
    with running(hsm_site, configuration) as run:
        one = scene_of(hsm_site, run)
        of_files, of_tokens = one.client(), one.client(authority=root)
        for is_reloaded in (False, True):
            if is_reloaded:
                hsm_site.write(*parts, "[limits]\nconnections = 10_000\n")
                os.kill(run.pid, signal.SIGHUP)
                run.wait_for(lambda output: events(output, "reloaded") or None)
            one.handshake(of_files, "files.test")
            assert not one.serves(of_tokens)
            assert not one.serves(of_files, "sealed.test")
            status, answer = asked(one, "/readyz")
            assert (status, {reason["name"] for reason in answer["reasons"]}) == (503, {"localhost", "sealed"})
            (detail,) = (reason["detail"] for reason in answer["reasons"] if reason["name"] == "sealed")
            assert detail == "has only sealed keys: is the sealing key unavailable?"
            (token,) = asked(one, "/status")[1]["tokens"]
            assert token["parent"] == "absent"
        away.put_into(hsm_site.hsm)
        one.until(lambda: one.serves(of_tokens) and one.serves(of_files, "sealed.test"))
        one.until(lambda: readiness(one)[0] == 200)
        assert not events(run.output, "rotation"), "it is the key of before"
    assert complaints(run.output) == []


def serves(one: Scene) -> bool:
    try:
        one.handshake(one.client())
    except NO_HANDSHAKE:
        return False
    return True


def hsm(site: HsmSite, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of `plexigate hsm` with the configuration."""
    command = [PLEXIGATE, "hsm", *arguments, "--config", str(site.directory / "plexigate.toml")]
    return prepared.run(command, site.hsm.environment)


def asked(one: Scene, path: str) -> tuple[int, dict[str, Any]]:
    return UnixAdminClient(one.site.directory / "plexigate.sock").get(path)


def readiness(one: Scene) -> tuple[int, str]:
    status, answer = asked(one, "/readyz")
    return status, answer.get("detail") or answer["status"]
