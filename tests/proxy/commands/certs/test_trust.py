"""`plexigate certs trust` and `check`."""

import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from certs.issuing.internal_ca.profiles import root_certificate
from certs.keys.generating import ALGORITHMS, generate
from certs.rotation.facts import leaf_of
from config.values.problems import ConfigError
from proxy.admin.client import AdminRefused, AdminUnreachable
from proxy.commands.certs.trust import listening, shown_by_workers, subjects, trust_text
from proxy.observe.scrape import ConfigurationFacts
from tests.certs.authority import NOW
from tests.configurations import Site
from tests.parts import part
from tests.proxy.commands.test_running import Running, plexigate, running
from tests.rotations import Rotations, Time

__all__ = ["running"]


@pytest.fixture
def scene(tmp_path: Path) -> Rotations:
    return Rotations(tmp_path, time=Time(datetime.now(UTC).replace(microsecond=0)))  # noqa: TID251 - as the command


class TestTrust:
    def trust(self, scene: Rotations, *arguments: str) -> str:
        result = plexigate("certs", "trust", "internal", "--config", str(scene.file), *arguments)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def test_the_root_is_written_and_how_to_trust_it_told(self, scene: Rotations) -> None:
        out = scene.directory / "root.pem"
        text = self.trust(scene, "--out", str(out))
        root = x509.load_pem_x509_certificate(out.read_bytes())
        assert (root,) == scene.moody.roots, "made by the command, and kept"
        assert "update-ca-certificates" in text

    def test_the_list_of_revocations_is_written_too(self, scene: Rotations) -> None:
        scene.serve()
        crl = scene.directory / "list.pem"
        self.trust(scene, "--out", str(scene.directory / "root.pem"), "--crl", str(crl))
        assert list(x509.load_pem_x509_crl(crl.read_bytes())) == []

    def test_the_key_of_the_root_goes_to_a_medium_of_its_own(self, scene: Rotations) -> None:
        scene.serve()
        key = scene.directory / "root.key"
        text = self.trust(scene, "--out", str(scene.directory / "root.pem"), "--take-root-key", str(key))
        assert "issuer.internal.root_key" in text
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert "PRIVATE KEY" not in text

    def test_nothing_is_replaced_but_a_former_list_of_revocations(self, scene: Rotations) -> None:
        scene.serve()
        out, crl = scene.directory / "root.pem", scene.directory / "list.pem"
        for _ in range(2):
            self.trust(scene, "--out", str(out), "--crl", str(crl))
        assert stat.S_IMODE(out.stat().st_mode) == stat.S_IMODE(crl.stat().st_mode) == 0o644
        for there in (out, crl):
            kept = there.read_bytes()
            there.write_bytes(b"something else")
            arguments = (
                "certs",
                "trust",
                "internal",
                "--config",
                str(scene.file),
                "--out",
                str(out),
                "--crl",
                str(crl),
            )
            refused = plexigate(*arguments)
            assert (refused.exit_code, there.read_bytes()) == (1, b"something else")
            assert f'"{there}" exists and has other content' in refused.stderr
            assert plexigate(*arguments, "--force").exit_code == 0
            assert there.read_bytes()[:20] == kept[:20]

    def test_what_is_no_regular_file_keeps_its_mode(self, scene: Rotations, tmp_path: Path) -> None:
        """As root, /dev/null was closed to everybody else by this command."""
        device = tmp_path / "device"
        os.mkfifo(device, 0o600)
        reading = os.open(device, os.O_RDONLY | os.O_NONBLOCK)
        try:
            result = plexigate("certs", "trust", "internal", "--config", str(scene.file), "--out", str(device))
            assert result.exit_code == 0, result.stderr
            assert stat.S_IMODE(device.stat().st_mode) == 0o600
        finally:
            os.close(reading)

    @pytest.mark.parametrize("issuer", ["nobody", "chat"])
    def test_another_issuer_is_refused(self, scene: Rotations, issuer: str) -> None:
        result = plexigate("certs", "trust", issuer, "--config", str(scene.file))
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"no issuer {issuer} of type internal" in result.stderr


class TestCheck:
    def check(self, scene: Rotations, *arguments: str) -> tuple[int, str]:
        result = plexigate("certs", "check", "chat", "--config", str(scene.file), *arguments)
        return result.exit_code, result.stdout + result.stderr

    def test_what_is_on_disk_is_judged_without_a_proxy(self, scene: Rotations) -> None:
        scene.serve()
        status, text = self.check(scene, "--no-live")
        assert status == 0, text
        assert text.startswith("ok     chat ec-p256@file: ecdsa-p256, valid until ")
        status, text = self.check(scene, "--no-live", "--json")
        assert [one["ok"] for one in json.loads(text)] == [True]

    def test_a_fault_is_status_1(self, scene: Rotations) -> None:
        scene.serve()
        text = scene.file.read_text().replace('"chat.test"', '"chat.test", "www.chat.test"', 1)
        scene.file.write_text(text)
        status, text = self.check(scene, "--no-live")
        assert status == 1
        assert "FAULT  chat ec-p256@file: it is not for www.chat.test" in text

    def test_no_proxy_to_ask_is_status_1(self, scene: Rotations) -> None:
        scene.serve()
        status, text = self.check(scene)
        assert status == 1
        assert "is Plexigate running" in text


class TestServedConfiguration:
    """Without --config."""

    def test_the_running_proxy_names_it(self, scene: Rotations, running: Running) -> None:
        scene.serve()
        facts = ConfigurationFacts(str(scene.file), "", 0.0)
        running.control.answer = replace(running.control.answer, configuration=facts)
        checked = running.run("certs", "check", "chat", "--no-live")
        assert (checked.exit_code, checked.stdout[:2]) == (0, "ok"), checked.stderr
        trusted = running.run("certs", "trust", "internal", "--out", str(scene.directory / "root.pem"))
        assert (trusted.exit_code, "update-ca-certificates" in trusted.stdout) == (0, True), trusted.stderr
        assert running.run("certs", "history", "chat", "--json").exit_code == 0

    def test_a_proxy_that_does_not_tell_is_no_answer(self, running: Running, tmp_path: Path) -> None:
        facts = ConfigurationFacts("p.toml", "", 0.0)
        running.control.answer = replace(running.control.answer, configuration=facts)
        result = running.run("certs", "check", "chat")
        assert (result.exit_code, "name it: --config FILE" in result.stderr) == (1, True)
        absent = plexigate("certs", "trust", "internal", "--socket", str(tmp_path / "none.sock"))
        assert (absent.exit_code, "is Plexigate running" in absent.stderr) == (1, True)


ROOT = root_certificate("Plexigate internal root", generate(ALGORITHMS["ec-p256"]), NOW)


def text(names: tuple[str, ...] = ("*.chat.test", "chat.test"), permitted: tuple[str, ...] = ()) -> str:
    return trust_text("internal", ROOT, Path("root.pem"), names, permitted)


def test_each_kind_of_client_is_told_how() -> None:
    for word in ("update-ca-certificates", "certutil", "Firefox", "curl --cacert root.pem", "create_default_context"):
        assert word in text()
    assert "https://chat.test/" in text(), "no wildcard: nobody can ask for it"
    assert "https://NAME/" in text(names=("*.chat.test",))


def test_the_fingerprint_is_there_to_be_compared() -> None:
    assert ROOT.fingerprint(hashes.SHA256()).hex().upper() in text().replace(":", "")


def test_its_limits_are_told() -> None:
    assert "to which its intermediates are limited" not in text()
    assert "for the names example.org, to which" in text(permitted=("example.org",))


def test_what_was_issued_is_held_against_the_root_of_its_issuer(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    version = scene.serve()
    _, (found,) = subjects(scene.file, "chat", None)
    assert found.about == "chat ec-p256@file"
    assert found.chain[0] == leaf_of(version)
    assert found.roots == scene.moody.roots


def test_what_is_not_there_yet_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="plexigate certs rotate chat"):
        subjects(Rotations(tmp_path).file, "chat", None)


def test_files_are_held_against_the_roots_that_are_given(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    path = site.write(site.minimal)
    _, (found,) = subjects(path, "chat", None)
    assert found.roots == ()
    _, (given,) = subjects(path, "chat", site.authority.path)
    assert len(given.roots) == 1


def test_an_unknown_identity_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of chat"):
        subjects(Rotations(tmp_path).file, "nobody", None)


def test_the_running_proxy_says_where_it_listens_and_what_workers_show(running: Running, tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    scene = Rotations(tmp_path / "scene")
    text = scene.file.read_text().replace(str(scene.directory / "admin.sock"), str(running.path))
    scene.file.write_text(text)
    scene.serve()
    loaded, _ = subjects(scene.file, "chat", None)
    assert [str(bind) for bind in listening(loaded, None)] == ["0.0.0.0:443", "[::]:443", "0.0.0.0:8443"]
    running.control.rotating.rows = [{"worker": 0}]
    assert shown_by_workers(loaded, None, "chat") == [part({"worker": 0})]
    with pytest.raises(AdminRefused):
        shown_by_workers(loaded, None, "nobody")


def test_no_proxy_is_told(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    scene.serve()
    loaded, _ = subjects(scene.file, "chat", None)
    with pytest.raises(AdminUnreachable):
        listening(loaded, None)
