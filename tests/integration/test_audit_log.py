"""The audit log of the whole program: who did what with which key, in a chain that a command verifies, signed for by a token."""

import json
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from certs.keys.token_public_key import pem_of
from proxy.commands.cli import app
from tests import prepared
from tests.certificates import Authority, CertificateFiles
from tests.certs.audit.logs import signer_in
from tests.hsm.faults import SIGNATURES
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token
from tests.integration.admin import found as found_in
from tests.integration.hsm_scene import Scene, scene
from tests.integration.stage import Site, Upstream, site
from tests.programs import PLEXIGATE
from tests.waiting import until_found

if TYPE_CHECKING:
    import subprocess

CKR_DEVICE_ERROR = 0x30


@dataclass(frozen=True)
class Audited:
    """A running proxy with an audit log whose checkpoints a key of the token plexi signs."""

    scene: Scene
    public_key: Path

    @property
    def site(self) -> HsmSite:
        return self.scene.site

    @property
    def log(self) -> Path:
        return self.site.directory / "audit.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        """Of all files, in their order; a line that is being written is not there yet."""
        texts = [path.read_text() for path in self.log.parent.glob("audit*.jsonl")]
        found = [json.loads(line) for text in texts for line in text.splitlines(keepends=True) if line.endswith("}\n")]
        return sorted(found, key=lambda line: line["seq"])

    def operations(self) -> list[tuple[str, str, str, str]]:
        return [
            (line["actor"].partition(" ")[0], line["action"], line["key"], line["outcome"])
            for line in self.lines()
            if line["kind"] == "operation"
        ]

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {**self.site.hsm.environment, "STATE_DIRECTORY": str(self.site.directory / "state")}
        return prepared.run([PLEXIGATE, *words], environment)

    def hsm(self, *words: str) -> "subprocess.CompletedProcess[str]":
        done = self.command("hsm", *words, "--config", str(self.site.directory / "plexigate.toml"), "--token", "plexi")
        assert done.returncode == 0, done.stderr
        return done

    def verdict(self) -> tuple[int, dict[str, Any]]:
        return verdict(self.log.parent, self.public_key, self.scene.running.output)


def verdict(directory: Path, public_key: Path, output: list[str]) -> tuple[int, dict[str, Any]]:
    """What `plexigate audit verify` says, by the checkpoints that were in the log of the process."""
    known = directory / "known.txt"
    known.write_text("\n".join(output))
    files = sorted(map(str, directory.glob("audit*.jsonl")))
    options = ["--public-key", str(public_key), "--checkpoints", str(known), "--json"]
    done = CliRunner().invoke(app, ["audit", "verify", *files, *options])
    (found,) = json.loads(done.stdout)
    return done.exit_code, found


def test_everything_about_keys_is_in_the_log_and_no_change_of_it_escapes(hsm_site: HsmSite, tmp_path: Path) -> None:
    key = "pkcs11:token=plexi;object=audit"
    tables = (
        f'[audit]\nfile = "audit.jsonl"\ncheckpoint_key = "{key}"\ncheckpoint_lines = 4\ntotals_interval = "200ms"\n'
    )
    with scene(
        hsm_site, further=tables, prepared=lambda plexi: hsm_site.hsm.generate(plexi, "audit", identifier="0a")
    ) as running:
        public = tmp_path / "audit.pub"
        public.write_text(pem_of(hsm_site.hsm.public_key(Token("plexi", "1234-user-pin"), "audit")))
        audited = Audited(running, public)
        running.handshake(running.client())
        running.until(lambda: any(line["kind"] == "handshakes" for line in audited.lines()))
        with running.plexi.failing(CKR_DEVICE_ERROR, *SIGNATURES):
            for _ in range(4):
                running.handshake(running.client())
            running.until(lambda: "breaker" in str(audited.operations()))
        made = json.loads(audited.hsm("generate", "other", "--json").stdout)
        # by logrotate, without a word to anybody
        audited.log.rename(audited.log.with_name("audit-1.jsonl"))
        audited.hsm("destroy", made["label"], "--yes")
    operations = audited.operations()
    served = [f"pkcs11:token={token};object=chat" for token in ("plexi", "spare")]
    for expected in [
        *(("parent", "login", f"token {token}", "done") for token in ("plexi", "spare")),
        *(("parent", "load", one, "done") for one in served),
        ("worker", "breaker", "token plexi", "done"),
        ("cli", "generate", "pkcs11:token=plexi;object=other.ecdsa-p256.v1", "done"),
        ("cli", "destroy", "pkcs11:token=plexi;object=other.ecdsa-p256.v1", "done"),
    ]:
        assert expected in operations
    totals = [line for line in audited.lines() if line["kind"] == "handshakes"]
    assert sum(line["done"] for line in totals if line["key"] in served) == 5
    assert sum(line["failed"] for line in totals if line["key"] == served[0]) > 0
    status, found = audited.verdict()
    assert (status, found["intact"], found["unproven"]) == (0, True, 1), "the last line is the checkpoint itself"

    whole = audited.log.read_bytes()
    rows = whole.splitlines(keepends=True)
    for name, damaged in {
        "removed": rows[:1] + rows[2:],
        "changed": [rows[0], rows[1].replace(b'"time":"2', b'"time":"1'), *rows[2:]],
        "reordered": [rows[0], rows[2], rows[1], *rows[3:]],
        "cut": rows[:-2],
    }.items():
        audited.log.write_bytes(b"".join(damaged))
        status, found = audited.verdict()
        assert (status, found["intact"]) == (1, False), name
    audited.log.write_bytes(whole)
    assert audited.verdict()[0] == 0


def test_a_full_disk_stops_nobody_and_a_crash_leaves_a_log_that_is_whole(
    tmp_path: Path, authority: Authority, localhost: CertificateFiles
) -> None:
    signer = signer_in(tmp_path / "audit.key")
    public, log = tmp_path / "audit.pub", tmp_path / "audit.jsonl"
    public.write_text(pem_of(signer.public_key))
    tables = f'[audit]\nfile = "{log}"\ncheckpoint_key = "{tmp_path}/audit.key"\ntotals_interval = "100ms"\n'
    upstreams = {"chat": Upstream(("http://127.0.0.1:1",))}

    def errors(running: Site) -> float:
        with running.connect():  # a handshake, which the log is to report
            return found_in(running.admin.metrics(), "plexigate_audit_errors_total")

    with site(tmp_path, authority, localhost, upstreams, tables) as running:
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (log.stat().st_size + 100, resource.RLIM_INFINITY))
        assert until_found(lambda: errors(running)) > 0
        with running.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.read_response().status == 404
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        running.program.wait_for(lambda output: "audit_log_written_again" in str(output) or None)
        assert "audit_log_failed" in str(running.program.output)
        output = running.program.output
    status, found = verdict(tmp_path, public, output)
    assert (status, found["intact"], found["unproven"]) == (0, True, 1)
    assert "a crash left incomplete" in str(found["remarks"])
