"""The whole program with a key in a token: curl is served, and the PIN is nowhere to be seen."""

import json
import os
import pwd
import signal
import subprocess
from pathlib import Path

from tests import prepared
from tests.accounts import AS_SOMEBODY_ELSE
from tests.bench.usage import processes
from tests.hsm.shim import CKR_DEVICE_ERROR
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token, besides, remarks_of
from tests.integration.gateway import complaints, events
from tests.integration.stage import workers_of
from tests.prepared_children import refused
from tests.programs import PLEXIGATE, Program, plexigate_listeners, program
from tests.programs import plexigate as proxy

PIN = "sesam-98127465"
URI = "pkcs11:token=plexi;object=chat"
ROUTE = '[upstream.chat]\nservers = ["http://127.0.0.1:1"]\n[[route]]\nhost = "localhost"\nupstream = "chat"\n'
Running = Program[dict[str, list[str]]]


def text_of(site: HsmSite) -> str:
    """A configuration that serves localhost with a key in a token."""
    plexi = site.hsm.add_token("plexi", PIN)
    return site.tokens(plexi) + site.identity("localhost", site.hsm.generate(plexi, "chat"), URI) + ROUTE


def plexigate(site: HsmSite, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that ends by itself."""
    return prepared.run([PLEXIGATE, *arguments], site.hsm.environment)


def curl(site: HsmSite, running: Running) -> str:
    """Answers the status; each call is a full handshake with a certificate that is verified."""
    port = running.ready["public"][0].rpartition(":")[2]
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", str(site.authority.path)]
    done = subprocess.run(
        [*command, "-o", "/dev/null", "-w", "%{http_code}", f"https://localhost:{port}/"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout or done.stderr


def test_several_modules_by_way_of_p11_kit(hsm_site: HsmSite) -> None:
    """Its proxy has one token of ours among those of all modules of the machine."""
    text, (p11_kit,) = text_of(hsm_site), Path("/usr/lib").glob("*/p11-kit-proxy.so")
    configuration = hsm_site.write(text.replace(str(hsm_site.hsm.shim.module), str(p11_kit)), workers=2)
    remarks = remarks_of(p11_kit, {**os.environ, **hsm_site.hsm.environment})
    said = []
    for words in (["check"], ["hsm", "list", "--json", "--config"]):
        done = plexigate(hsm_site, *words, str(configuration))
        assert done.returncode == 0
        assert set(done.stderr.splitlines()) <= remarks
        said.append(done.stdout)
    assert "chat" in said[1]
    with proxy(configuration, hsm_site.hsm.environment) as running:
        assert [curl(hsm_site, running) for _ in range(4)] == ["502"] * 4
        for worker in workers_of(running.pid):
            assert {"libsofthsm2.so", "opensc-pkcs11.so"} <= {Path(line).name for line in libraries(worker).split()}
    assert besides(remarks, complaints(running.output)) == []


def libraries(process: int) -> str:
    return Path(f"/proc/{process}/maps").read_text()


def test_curl_is_served(hsm_site: HsmSite) -> None:
    configuration = hsm_site.write(text_of(hsm_site), workers=2)
    plexi = hsm_site.hsm.shim.token("plexi")
    with refused(), proxy(configuration, hsm_site.hsm.environment) as running:
        workers = workers_of(running.pid)
        assert len(workers) == 2
        assert [curl(hsm_site, running) for _ in range(8)] == ["502"] * 8  # by the proxy: there is nobody behind it
        assert plexi.calls("C_Sign") == 8
        assert plexi.calls("C_Login") == 3, "the parent, which tries the PIN, and two workers"
        # the module is in the workers, each in a session of its own without a terminal, and never in the parent
        assert "shim.so" not in libraries(running.pid)
        assert "pkcs11.so" not in libraries(running.pid)
        for worker in workers:
            assert "shim.so" in libraries(worker)
            assert os.getsid(worker) == worker
            assert Path(f"/proc/{worker}/fd/0").readlink() == Path("/dev/null")
        for process in (running.pid, *workers):
            for where in ("environ", "cmdline"):
                assert PIN.encode() not in Path(f"/proc/{process}/{where}").read_bytes()
    (ready,) = events(running.output, "ready")
    assert ready["providers"] == ["default", "pkcs11"]
    assert ready["offers"]["public"]["identities"] == {"localhost": ["ecdsa-p256"]}
    assert complaints(running.output) == []
    assert PIN not in "\n".join(running.output)


def test_another_key_is_taken_live_and_one_that_is_not_there_changes_nothing(hsm_site: HsmSite) -> None:
    plexi = hsm_site.hsm.add_token("plexi", PIN)
    plexi_calls = hsm_site.hsm.shim.token("plexi").calls
    tokens = hsm_site.tokens(plexi)
    chat = hsm_site.identity("localhost", hsm_site.hsm.generate(plexi, "chat"), URI)
    configuration = hsm_site.write(tokens, chat, ROUTE)

    def reload(running: Running, kind: str) -> str:
        os.kill(running.pid, signal.SIGHUP)
        (event,) = running.wait_for(lambda output: events(output, kind) or None)
        return json.dumps(event)

    with proxy(configuration, hsm_site.hsm.environment) as running:
        later = hsm_site.hsm.generate(plexi, "later", "ecdsa-p384", "02")  # while it runs
        hsm_site.write(tokens, hsm_site.identity("localhost", later, "pkcs11:token=plexi;object=later"), ROUTE)
        assert "object=later" in reload(running, "reloaded")
        assert curl(hsm_site, running) == "502"
        assert plexi_calls("C_Login") == 2, "the parent, and the worker"
        hsm_site.write(tokens, hsm_site.identity("localhost", later, "pkcs11:token=plexi;object=none"), ROUTE)
        assert "which is not in the token" in reload(running, "reload_failed")
        assert curl(hsm_site, running) == "502"
    assert plexi_calls("C_Sign") == 2
    assert plexi_calls("C_Login") == 3, "and another copy of the module, which might have shown the key"
    assert complaints(running.output) == []


@AS_SOMEBODY_ELSE
def test_workers_are_somebody_who_may_not_read_the_pin(public_site: HsmSite) -> None:
    text = text_of(public_site)
    nobody = pwd.getpwnam("nobody").pw_uid
    public_site.hsm.give_to(nobody)
    configuration = public_site.write(text, workers=2, top='user = "nobody"\n')
    with refused(), proxy(configuration, public_site.hsm.environment) as running:
        assert {Path(f"/proc/{one}").stat().st_uid for one in processes(running.pid)} <= {0, nobody}
        assert [curl(public_site, running) for _ in range(4)] == ["502"] * 4, running.output
        assert public_site.hsm.shim.token("plexi").calls("C_Sign") == 4
    assert complaints(running.output) == []


class TestCheck:
    def check(self, site: HsmSite, configuration: Path) -> tuple[int, dict[str, str]]:
        done = plexigate(site, "check", "--json", str(configuration))
        problems = json.loads(done.stdout)["problems"]
        return done.returncode, {one["key"]: one["found"] for one in problems if one["key"] != "user"}

    def test_usable(self, hsm_site: HsmSite) -> None:
        assert self.check(hsm_site, hsm_site.write(text_of(hsm_site))) == (0, {})
        assert hsm_site.hsm.shim.token("plexi").calls("C_Sign") == 0

    @AS_SOMEBODY_ELSE
    def test_a_token_is_looked_at_as_workers_will(self, public_site: HsmSite) -> None:
        configuration = public_site.write(text_of(public_site), top='user = "nobody"\n')
        status, found = self.check(public_site, configuration)
        assert status == 1
        assert list(found) == ["hsm.token.plexi"]
        assert "which the user nobody cannot use: " in found["hsm.token.plexi"]
        public_site.hsm.give_to(pwd.getpwnam("nobody").pw_uid)
        assert self.check(public_site, configuration) == (0, {})
        assert public_site.hsm.shim.token("plexi").calls("C_Login") == 4, "each time: the PIN, and the keys by OpenSSL"

    def test_a_wrong_pin_is_tried_once(self, hsm_site: HsmSite) -> None:
        configuration = hsm_site.write(text_of(hsm_site))
        hsm_site.hsm.pin_file(Token("plexi", "another-pin"))
        for _ in range(2):
            status, found = self.check(hsm_site, configuration)
            assert status == 1
            assert "CKR_PIN_INCORRECT" in found["hsm.token.plexi"]
        assert hsm_site.hsm.shim.token("plexi").calls("C_Login") == 1

    def test_one_token_under_two_names_is_refused_before_anybody_logs_in(self, hsm_site: HsmSite) -> None:
        text = text_of(hsm_site)
        listed = json.loads(
            plexigate(hsm_site, "hsm", "list", "--json", "--module", str(hsm_site.hsm.shim.module)).stdout
        )
        serial = next(one["serial"] for one in listed if one["label"] == "plexi")
        alias = f'[hsm.token.alias]\nserial = "{serial}"\npin_file = "{hsm_site.hsm.pin_file(Token("plexi", PIN))}"\n'
        both = f'["{URI}", "pkcs11:serial={serial};object=chat"]'
        configuration = hsm_site.write(text.replace(f'"{URI}"', both), alias)
        status, found = self.check(hsm_site, configuration)
        assert status == 1
        assert found["hsm.token.alias"].startswith("a token that [hsm.token.plexi] already names: plexi (serial ")
        started = plexigate(hsm_site, "run", str(configuration))
        assert started.returncode == 1
        assert "a token that [hsm.token.plexi] already names" in " ".join(started.stderr.split())
        assert hsm_site.hsm.shim.token("plexi").calls("C_Login") == 0

    def test_one_token_under_two_names_is_refused_at_a_reload(self, hsm_site: HsmSite) -> None:
        text = text_of(hsm_site)
        configuration = hsm_site.write(text)
        listed = json.loads(plexigate(hsm_site, "hsm", "list", "--json", "--config", str(configuration)).stdout)
        serial = next(one["serial"] for one in listed if one["label"] == "plexi")
        with proxy(configuration, hsm_site.hsm.environment) as running:
            hsm_site.write(text, f'[hsm.token.alias]\nserial = "{serial}"\npin_file = "plexi.pin"\n')
            os.kill(running.pid, signal.SIGHUP)
            (refusal,) = running.wait_for(lambda output: events(output, "reload_failed") or None)
            assert curl(hsm_site, running) == "502"
        assert "a token that [hsm.token.plexi] already names" in json.dumps(refusal)

    def test_a_file_that_is_refused_for_its_tokens_has_nobody_look_at_them(self, hsm_site: HsmSite) -> None:
        twin = f'[hsm.token.twin]\nlabel = "plexi"\npin_file = "{hsm_site.hsm.directory}/plexi.pin"\n'
        audit = '[audit]\nfile = "audit.jsonl"\ncheckpoint_key = "pkcs11:token=plexi;object=chat"\n'
        status, found = self.check(hsm_site, hsm_site.write(text_of(hsm_site), twin, audit))
        assert status == 1
        assert sorted(found) == ["audit.checkpoint_key", "hsm.token.twin", "identity.localhost.key"]
        assert hsm_site.hsm.shim.token("plexi").calls("C_Login") == 0

    def test_keys_are_tried(self, hsm_site: HsmSite) -> None:
        text = text_of(hsm_site).replace("object=chat", "object=cat")
        status, found = self.check(hsm_site, hsm_site.write(text))
        assert status == 1
        assert found["identity.localhost.key"].endswith("which is not in the token, or not as a private key")

    def test_module_that_hangs_is_left(self, hsm_site: HsmSite) -> None:
        configuration = hsm_site.write(text_of(hsm_site), top='reload_timeout = "5s"\n')
        with hsm_site.hsm.shim.token("plexi").hanging("C_FindObjects"):
            status, found = self.check(hsm_site, configuration)
        assert status == 1
        assert found == {"hsm.module": "a PKCS#11 module that did not answer within 5 s (reload_timeout)"}

    def test_a_start_that_fails_says_the_same(self, hsm_site: HsmSite) -> None:
        configuration = hsm_site.write(text_of(hsm_site))
        with hsm_site.hsm.shim.token("plexi").failing(CKR_DEVICE_ERROR, "C_FindObjects"):
            done = plexigate(hsm_site, "run", str(configuration))
        assert done.returncode == 1
        assert "identity.localhost.key" in done.stderr
        assert PIN not in done.stdout + done.stderr


def test_environment_cannot_put_another_module_in_place(hsm_site: HsmSite) -> None:
    """pkcs11-provider obeys `PKCS11_PROVIDER_MODULE` before its configuration."""
    configuration = hsm_site.write(text_of(hsm_site))
    environment = {**hsm_site.hsm.environment, "PKCS11_PROVIDER_MODULE": "/missing.so"}
    with program([PLEXIGATE, "run", str(configuration)], plexigate_listeners, environment) as running:
        assert curl(hsm_site, running) == "502"
