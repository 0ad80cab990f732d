"""A token that has lost one of its keys, and is well for the others: who is told of it, and when it is back."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from proxy.admin.client import UnixAdminClient
from proxy.commands.cli import app
from tests.certs.authority import private_key
from tests.hsm.faults import SIGNATURES
from tests.hsm.shim import CKR_DEVICE_ERROR
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token
from tests.integration.gateway import complaints, events
from tests.integration.hsm_scene import ROUTE, Scene, running, scene_of
from tests.integration.stage import workers_of
from tests.programs import PLEXIGATE

OTHER_ROUTE = '[[route]]\nhost = "other"\nupstream = "chat"\n'
# Ten seconds without a signature, and a look each five.
IDLE_SECONDS = 30.0
SESSIONS = ("C_OpenSession", "C_FindObjects", "C_FindObjectsInit", "C_GetAttributeValue")


def asked(one: Scene, path: str) -> tuple[int, dict[str, Any]]:
    return UnixAdminClient(one.site.directory / "plexigate.sock").get(path)


def readiness(one: Scene) -> tuple[int, str]:
    status, answer = asked(one, "/readyz")
    return status, answer.get("detail") or answer["status"]


def uri(token: Token, label: str) -> str:
    return f"pkcs11:token={token.label};object={label}"


def test_a_lost_key_is_told_of_by_its_identity_and_the_others_of_the_token_serve(hsm_site: HsmSite) -> None:
    plexi = hsm_site.hsm.add_token("plexi")
    private = private_key("ecdsa-p256")
    configuration = hsm_site.write(
        hsm_site.tokens(plexi),
        hsm_site.identity("localhost", hsm_site.hsm.share("chat", plexi, key=private), uri(plexi, "chat")),
        hsm_site.identity("other", hsm_site.hsm.share("other", plexi, identifier="02"), uri(plexi, "other")),
        ROUTE,
        OTHER_ROUTE,
        workers=2,
    )
    with running(hsm_site, configuration) as run:
        one = scene_of(hsm_site, run)
        one.until(lambda: readiness(one) == (200, "ready"))
        assert not events(run.output, "token_key")
        hsm_site.hsm.destroy(plexi, "chat")
        reason = f"identity localhost has no key that can sign in worker 0: plexi without {uri(plexi, 'chat')}"
        one.until(lambda: not one.serves(one.client()) and readiness(one) == (503, reason))
        one.handshake(one.client(), "other")
        assert one.metric("token_state", token="plexi", state="closed") == 2
        (event,) = run.wait_for(lambda output: events(output, "token_key") or None)
        told = {key: event[key] for key in ("token", "key", "identities", "state")}
        assert told == {
            "token": "plexi",
            "key": uri(plexi, "chat"),
            "identities": ["localhost"],
            "state": "missing",
        }
        assert one.metric("token_keys_missing", token="plexi") == 1
        one.until(lambda: one.metric("alerts", kind="key_missing") == 1)
        (token,) = asked(one, "/status")[1]["tokens"]
        assert token["missing_keys"] == [{"key": uri(plexi, "chat"), "identities": ["localhost"]}]
        shown = CliRunner().invoke(app, ["status", "--socket", str(hsm_site.directory / "plexigate.sock")])
        assert f"plexi: key {uri(plexi, 'chat')} of" in " ".join(shown.output.split())
        hsm_site.hsm.share("chat", plexi, key=private)
        os.kill(run.pid, signal.SIGHUP)  # which has it looked for at once, not within half a minute
        one.until(lambda: readiness(one)[0] == 200)
        one.handshake(one.client())
        one.until(lambda: len(events(run.output, "token_key")) > 1)
        assert [event["state"] for event in events(run.output, "token_key")] == ["missing", "found"]
        assert one.metric("token_keys_missing", token="plexi") == 0
    assert complaints(run.output) == []


def test_a_worker_that_ends_is_replaced_although_a_key_is_lost(hsm_site: HsmSite) -> None:
    plexi = hsm_site.hsm.add_token("plexi")
    configuration = hsm_site.write(
        hsm_site.tokens(plexi),
        hsm_site.identity("localhost", hsm_site.hsm.share("chat", plexi), uri(plexi, "chat")),
        hsm_site.identity("other", hsm_site.hsm.share("other", plexi, identifier="02"), uri(plexi, "other")),
        ROUTE,
        OTHER_ROUTE,
    )
    with running(hsm_site, configuration) as run:
        one = scene_of(hsm_site, run)
        one.until(lambda: readiness(one) == (200, "ready"))
        hsm_site.hsm.destroy(plexi, "chat")
        (worker,) = workers_of(run.pid)
        os.kill(worker, signal.SIGKILL)
        one.until(lambda: workers_of(run.pid) not in ([], [worker]) and one.serves(one.client(), "other"))
        reason = f"identity localhost has no key that can sign in worker 0: plexi without {uri(plexi, 'chat')}"
        one.until(lambda: readiness(one) == (503, reason))
        assert not one.serves(one.client())
        assert UnixAdminClient(hsm_site.directory / "plexigate.sock").post("/reload", {})[1]["ok"] is False


def test_a_lost_copy_is_known_before_the_other_token_goes_away(hsm_site: HsmSite) -> None:
    plexi, spare = hsm_site.hsm.add_token("plexi"), hsm_site.hsm.add_token("spare", "another-pin")
    both = hsm_site.hsm.share("chat", plexi, spare)
    configuration = hsm_site.write(
        hsm_site.tokens(plexi, spare),
        hsm_site.identity("localhost", both, uri(plexi, "chat"), uri(spare, "chat")),
        hsm_site.identity("other", hsm_site.hsm.share("other", spare, identifier="02"), uri(spare, "other")),
        ROUTE,
        OTHER_ROUTE,
    )
    with running(hsm_site, configuration) as run:
        one = scene_of(hsm_site, run)
        hsm_site.hsm.destroy(spare, "chat")
        one.until(lambda: bool(events(run.output, "token_key")), IDLE_SECONDS)
        assert readiness(one) == (200, "ready"), "the other token has it"
        with one.plexi.failing(CKR_DEVICE_ERROR, *SIGNATURES):
            one.until(lambda: not one.serves(one.client()) and readiness(one)[0] == 503)
            reason = (
                f"identity localhost has no key that can sign in worker 0: plexi, spare without {uri(spare, 'chat')}"
            )
            assert readiness(one) == (503, reason)
            one.handshake(one.client(), "other")
        one.until(lambda: readiness(one) == (200, "ready"))
    assert complaints(run.output) == []


def check(site: HsmSite, configuration: Path) -> tuple[int, dict[str, str]]:
    """What `check` says of keys and tokens: exit code, and severities by key."""
    environment = {**os.environ, **site.hsm.environment}
    done = subprocess.run(
        [PLEXIGATE, "check", "--json", str(configuration)], env=environment, capture_output=True, text=True, check=False
    )
    problems = json.loads(done.stdout)["problems"]
    return done.returncode, {one["key"]: one["severity"] for one in problems if one["key"] != "user"}


def test_check_warns_of_a_pin_that_a_spare_token_refuses_and_refuses_it_where_nothing_else_signs(
    hsm_site: HsmSite,
) -> None:
    plexi, spare = hsm_site.hsm.add_token("plexi"), hsm_site.hsm.add_token("spare", "another-pin")
    public = hsm_site.hsm.share("chat", plexi, spare)
    both = (uri(plexi, "chat"), uri(spare, "chat"))
    hsm = hsm_site.tokens(plexi, spare)
    hsm_site.hsm.pin_file(plexi, "wrong-pin")
    configuration = hsm_site.write(hsm, hsm_site.identity("localhost", public, *both), ROUTE)
    assert check(hsm_site, configuration) == (0, {"hsm.token.plexi": "warning", "identity.localhost.key[0]": "warning"})
    hsm_site.write(hsm, hsm_site.identity("localhost", public, both[0]), ROUTE)
    assert check(hsm_site, configuration) == (1, {"hsm.token.plexi": "error", "identity.localhost.key": "error"})
    assert hsm_site.hsm.shim.token("plexi").calls("C_Login") == 1


def test_the_only_key_of_a_token_that_is_lost_is_named_too(hsm_site: HsmSite) -> None:
    plexi = hsm_site.hsm.add_token("plexi")
    public = hsm_site.hsm.share("chat", plexi)
    configuration = hsm_site.write(
        hsm_site.tokens(plexi), hsm_site.identity("localhost", public, uri(plexi, "chat")), ROUTE
    )
    with running(hsm_site, configuration) as run:
        one = scene_of(hsm_site, run)
        hsm_site.hsm.destroy(plexi, "chat")
        one.until(lambda: not one.serves(one.client()) and bool(events(run.output, "token_key")))
        assert readiness(one) == (503, "identity localhost has no key that can sign in worker 0: plexi")
        assert one.metric("token_keys_missing", token="plexi") == 1
    assert complaints(run.output) == []


def test_a_reload_refuses_what_check_refuses_and_passes_where_the_token_is_away(hsm_site: HsmSite) -> None:
    plexi = hsm_site.hsm.add_token("plexi")
    public = hsm_site.hsm.share("chat", plexi)
    configuration = hsm_site.write(
        hsm_site.tokens(plexi), hsm_site.identity("localhost", public, uri(plexi, "chat")), ROUTE, workers=2
    )
    environment = {**os.environ, **hsm_site.hsm.environment}
    with running(hsm_site, configuration) as run:
        one = scene_of(hsm_site, run)
        admin = UnixAdminClient(hsm_site.directory / "plexigate.sock")
        assert admin.post("/reload", {})[1]["ok"]
        hsm_site.hsm.generate(plexi, "chat", identifier="02")
        found = "which several keys of the token fit"
        for query in ({"dry_run": "1"}, {}):
            refused = admin.post("/reload", query)[1]
            (problem,) = [one for one in refused["problems"] if one["severity"] == "error"]
            assert problem["key"] == "identity.localhost.key"
            assert found in problem["found"]
        checked = subprocess.run(
            [PLEXIGATE, "check", str(configuration)], env=environment, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 1
        assert found in " ".join((checked.stdout + checked.stderr).split())
        one.handshake(one.client())
        generation = asked(one, "/status")[1]["generation"]
        with one.plexi.failing(CKR_DEVICE_ERROR, *SESSIONS, *SIGNATURES):
            assert admin.post("/reload", {})[1]["ok"], "a token that fails says nothing of its keys"
        assert asked(one, "/status")[1]["generation"] > generation
    assert complaints(run.output) == []
