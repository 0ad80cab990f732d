"""No key is destroyed that a running proxy needs, whatever the command is told of it by files and options."""

import json
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from certs.sealing.sealing_key import sealing_key_name
from proxy.commands.cli import app
from tests import prepared
from tests.accounts import AS_SOMEBODY_ELSE
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token
from tests.integration.gateway import complaints
from tests.integration.hsm_scene import ROUTE, running
from tests.programs import PLEXIGATE

SEALING = sealing_key_name(3).label
INTERNAL = (
    '[issuer.internal]\ntype = "internal"\nkey = "ec-p256@plexi"\nroot = "ec-p384@plexi"\n[rotation]\nstate = "issued"\n'
    '[identity.localhost]\nnames = ["localhost"]\n[[identity.localhost.credential]]\nkey = "ec-p256@plexi"\nissuer = "internal"\n'
)


@dataclass(frozen=True, slots=True)
class Destroying:
    """`plexigate hsm destroy` at a site with one token."""

    site: HsmSite
    token: Token

    @property
    def socket(self) -> Path:
        return self.site.directory / "plexigate.sock"

    def by_options(self, label: str, *further: str) -> "subprocess.CompletedProcess[str]":
        """Without a configuration."""
        pin_file = str(self.site.hsm.pin_file(self.token))
        options = ("--module", str(self.site.hsm.shim.module), "--token", self.token.label, "--pin-file", pin_file)
        return self.run(label, *options, *further)

    def run(self, label: str, *options: str, user: str | None = None) -> "subprocess.CompletedProcess[str]":
        command = [PLEXIGATE, "hsm", "destroy", label, "--yes", *options]
        if user is None:
            return prepared.run(command, self.site.hsm.environment)
        environment = {**os.environ, **self.site.hsm.environment}
        return subprocess.run(
            command, env=environment, user=user, capture_output=True, text=True, timeout=60, check=False
        )

    def labels(self) -> list[str]:
        """Of the keys that are there."""
        command = [PLEXIGATE, "hsm", "list", "--json", "--config", str(self.site.directory / "plexigate.toml")]
        listed = json.loads(prepared.run(command, self.site.hsm.environment).stdout)
        return [key["label"] for token in listed for key in token["keys"] or ()]


@AS_SOMEBODY_ELSE
def test_a_proxy_that_cannot_be_asked_is_not_taken_for_none(public_site: HsmSite) -> None:
    site = public_site
    plexi = site.hsm.add_token("plexi")
    public = site.hsm.generate(plexi, "old")
    configuration = site.write(
        site.tokens(plexi), site.identity("localhost", public, "pkcs11:token=plexi;object=old"), ROUTE
    )
    destroying = Destroying(site, plexi)
    with running(site, configuration) as run:
        # the next key is written down already, and the proxy has not heard of it
        configuration.write_text(configuration.read_text().replace("object=old", "object=next"))
        site.hsm.give_to(pwd.getpwnam("nobody").pw_uid)
        theirs = (str(site.directory / name) for name in ("state", "plexi.pin", "shim.control"))
        subprocess.run(["chown", "--recursive", "nobody", *theirs], check=True)
        configuration.chmod(0o644)
        for answer, reason in (
            (destroying.run("old", "--config", str(configuration), user="nobody"), "Permission denied"),
            (destroying.run("old", "--config", str(configuration), "--socket", "/nope.sock"), "No such file"),
        ):
            assert (answer.returncode, answer.stdout) == (1, "")
            assert "cannot verify that old is not in use: " in answer.stderr
            assert f".sock: {reason}" in answer.stderr
        assert destroying.labels() == ["old"]
    assert complaints(run.output) == []
    done = destroying.run("old", "--config", str(configuration))
    assert done.returncode == 0, done.stderr
    assert "old (id 01) of token plexi is gone" in done.stdout


def test_keys_of_the_parent_are_not_destroyed(hsm_site: HsmSite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in hsm_site.hsm.environment.items():
        monkeypatch.setenv(name, value)
    plexi = hsm_site.hsm.add_token("plexi")
    for identifier, label in (("0a", "audit"), ("0b", "past")):
        hsm_site.hsm.generate(plexi, label, identifier=identifier)
    configuration = hsm_site.write(
        hsm_site.tokens(plexi),
        f'[sealing]\nkey = "pkcs11:token=plexi;object={SEALING}"\ndirectory = "seals"\n',
        '[audit]\nfile = "audit.jsonl"\ncheckpoint_key = "pkcs11:token=plexi;object=audit"\n',
        INTERNAL,
        ROUTE,
    )
    made = ["init", "--no-recovery", "--yes", "--key-version", "3", "--config", str(configuration)]
    done = CliRunner().invoke(app, ["hsm", *made])
    assert done.exit_code == 0, done.output
    other = hsm_site.directory / "other.toml"
    other.write_text(hsm_site.tokens(plexi))
    destroying = Destroying(hsm_site, plexi)
    with running(hsm_site, configuration) as run:
        before = destroying.labels()
        root = next(one for one in before if one.startswith("ca.internal.root."))
        intermediate = next(one for one in before if one.startswith("ca.internal.") and one != root)
        for label, users in (
            (SEALING, ("sealing.key", str(hsm_site.directory / "seals" / "keys.sealed"))),
            ("audit", ("audit.checkpoint_key",)),
            (root, ("issuers/internal/root/v000001/key",)),
            (intermediate, ("issuers/internal/intermediate/v000001/key",)),
        ):
            for answer in (
                destroying.by_options(label, "--socket", str(destroying.socket)),
                destroying.by_options(label, "--socket", str(destroying.socket), "--unverified"),
                destroying.run(label, "--config", str(other), "--socket", str(destroying.socket)),
            ):
                assert (answer.returncode, answer.stdout) == (1, "")
                assert f"the running proxy uses {label} of token plexi: " in answer.stderr
                for user in users:
                    assert user in answer.stderr
        assert destroying.labels() == before
        answer = destroying.by_options("past", "--socket", str(destroying.socket))
        assert answer.returncode == 0, answer.stderr
    assert complaints(run.output) == []
