"""What is found of certificates when they are looked at as clients do."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from certs.keys.generating import ALGORITHMS, generate
from certs.rotation.facts import chain_of
from config.values.addresses import Bind
from proxy.rotation.live_check import (
    LiveSubject,
    chain_findings,
    handshake_finding,
    list_findings,
    timestamp_findings,
    worker_findings,
)
from tests.certs.authority import DAY
from tests.proxy.rotation.showing import listening, server_context
from tests.rotations import Rotations, Time, configuration
from tests.web_documents import web_documents


@pytest.fixture
def scene(tmp_path: Path) -> Rotations:
    return Rotations(tmp_path, time=Time(datetime.now(UTC).replace(microsecond=0)))  # noqa: TID251 - OpenSSL has its own


def subject(scene: Rotations) -> LiveSubject:
    version = scene.shelf().current() or scene.serve()
    return LiveSubject("chat", chain_of(version), ("chat.test",), scene.moody.roots)


def faults(found: LiveSubject, scene: Rotations) -> list[str]:
    return [one.text for one in chain_findings(found, scene.time.now) if one.is_fault]


class TestChain:
    def test_a_good_one_is_told_in_one_line(self, scene: Rotations) -> None:
        (found,) = chain_findings(subject(scene), scene.time.now)
        assert found.text.startswith("ecdsa-p256, valid until ")
        assert found.as_json() == {"about": "chat", "found": found.text, "ok": True}

    def test_the_last_days_of_a_certificate_are_as_good_as_its_first(self, scene: Rotations) -> None:
        found = subject(scene)
        scene.time.passes(6 * DAY)
        assert faults(found, scene) == []
        scene.time.passes(2 * DAY)
        assert len(faults(found, scene)) == 1

    def test_a_public_one_without_timestamps_is_a_remark(self, scene: Rotations) -> None:
        found = subject(scene)
        public = LiveSubject("chat", found.chain, found.names, ())
        (remark,) = timestamp_findings(public, None, scene.time.now)
        assert remark.is_fault is None
        assert remark.as_json()["ok"] is True
        assert list(timestamp_findings(found, None, scene.time.now)) == [], "no log takes those of a CA of our own"

    def test_the_lists_that_it_names_are_fetched(self, scene: Rotations) -> None:
        with web_documents() as web:
            scene.follow(configuration(issuer=f'crl_url = "{web.url}/a.crl"'))
            (found,) = list_findings(subject(scene), scene.time.now)
        assert (found.about, found.is_fault) == ("chat", True)
        assert "status 404" in found.text

    def test_without_roots_it_is_held_against_what_the_system_trusts(
        self, scene: Rotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bundle, found = tmp_path / "bundle", subject(scene)
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
        public = LiveSubject("chat", found.chain, found.names, ())
        (fault,) = faults(public, scene)
        assert "the system has no trusted roots" in fault
        bundle.write_bytes(scene.moody.roots[0].public_bytes(Encoding.PEM))
        assert faults(public, scene) == []

    def test_a_key_that_may_not_sign_handshakes_is_a_fault(self, scene: Rotations) -> None:
        key = generate(ALGORITHMS["ec-p256"])
        name = x509.Name([])
        usage = {
            "digital_signature": False, "content_commitment": False, "key_encipherment": True, "data_encipherment": False,
            "key_agreement": False, "key_cert_sign": False, "crl_sign": False, "encipher_only": False, "decipher_only": False,
        }  # fmt: skip
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .serial_number(7)
            .not_valid_before(scene.time.now)
            .not_valid_after(scene.time.now + DAY)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("chat.test")]), critical=False)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .sign(key, hashes.SHA256())
        )
        found = faults(LiveSubject("chat", (made,), ("chat.test",), ()), scene)
        assert "its key usage has no digitalSignature" in found


class TestHandshake:
    def finding(self, scene: Rotations, found: LiveSubject) -> tuple[str, bool | None]:
        version = scene.shelf().current()
        assert version is not None
        with listening(server_context(version)) as port:
            one = handshake_finding(found, Bind(ip_address("127.0.0.1"), port))
        return one.text, one.is_fault

    def test_what_should_serve_is_verified(self, scene: Rotations) -> None:
        text, is_fault = self.finding(scene, subject(scene))
        assert text.startswith("verified, serial ")
        assert not is_fault

    def test_another_certificate_of_the_same_authority_is_a_fault(self, scene: Rotations) -> None:
        before = subject(scene)
        scene.serve()
        text, is_fault = self.finding(scene, before)
        assert "is what should serve" in text
        assert is_fault

    def test_a_replica_that_signs_instead_is_a_note(self, scene: Rotations) -> None:
        before = subject(scene)
        scene.serve()
        shown = subject(scene)
        text, is_fault = self.finding(scene, replace(before, replicas=shown.chain[:1]))
        assert (text, is_fault) == (f"another replica signs now, serial {shown.serial}", None)

    def test_a_replica_of_another_authority_is_a_note_too(self, scene: Rotations, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        ours = subject(Rotations(tmp_path / "other", time=scene.time))
        shown = subject(scene)
        text, is_fault = self.finding(scene, replace(ours, replicas=shown.chain[:1]))
        assert (text, is_fault) == (f"another replica signs now, serial {shown.serial}", None)

    def test_roots_that_did_not_sign_it_are_a_fault(self, scene: Rotations, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        other = Rotations(tmp_path / "other", time=scene.time)
        found = subject(scene)
        text, is_fault = self.finding(scene, LiveSubject("chat", found.chain, found.names, other.moody.roots))
        assert text.startswith("the handshake failed: ")
        assert is_fault

    def test_nobody_there_is_a_fault(self, scene: Rotations) -> None:
        found = handshake_finding(subject(scene), Bind(ip_address("127.0.0.1"), 1))
        assert (found.text, found.is_fault) == ("the handshake failed: Connection refused", True)


class TestWorkers:
    def row(self, worker: int, serial: str, fault: str | None = None) -> Any:
        return {"worker": worker, "listener": "public", "serial": serial, "fault": fault, "untried": None}

    def test_each_worker_is_told_of(self, scene: Rotations) -> None:
        found = subject(scene)
        serial = f"{found.chain[0].serial_number:x}"
        rows = [self.row(0, serial), self.row(1, serial, "certificate has expired"), self.row(1, "other")]
        assert [(one.about, one.is_fault) for one in worker_findings(found, rows)] == [
            ("chat in worker 0 on public", False),
            ("chat in worker 1 on public", True),
        ]

    def test_a_proxy_that_serves_by_another_file_is_told(self, scene: Rotations) -> None:
        (one,) = worker_findings(subject(scene), [self.row(0, "other")])
        assert one.is_fault
        assert "serves by another certificate" in one.text
