"""`plexigate certs trust` and `check`."""

import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from proxy.observe.scrape import ConfigurationFacts
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
