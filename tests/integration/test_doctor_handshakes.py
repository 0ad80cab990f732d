"""The doctor's live handshakes: against a running proxy of every policy, and against servers that are wrong."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import prepared
from tests.certificates import CertificateFiles
from tests.configurations import identity, listener
from tests.integration.gateway import Gateway, events
from tests.ports import lasting_port
from tests.programs import PLEXIGATE, program
from tests.proxy.doctor.cbom.bills import faults

SECONDS = 60


def examined(file: Path) -> tuple[int, list[dict[str, Any]]]:
    """The exit status of the doctor, and its findings about handshakes."""
    command = [PLEXIGATE, "doctor", str(file), "--json"]
    done = prepared.run(command, timeout=SECONDS)
    assert done.stdout, done.stderr
    findings = json.loads(done.stdout)["findings"]
    return done.returncode, [one for one in findings if one["area"] == "handshakes"]


@pytest.fixture(scope="module")
def found(gateway: Gateway) -> list[dict[str, Any]]:
    """What the doctor finds on the gateway, which has a listener for each policy."""
    (file,) = gateway.trust.directory.glob("gateway-0.toml")
    return examined(file)[1]


def of(found: list[dict[str, Any]], check: str, subject: str) -> dict[str, Any]:
    (one,) = (one for one in found if one["check"] == check and one["subject"].startswith(subject))
    return one


class TestRunningProxy:
    def test_nothing_is_wrong_with_it(self, found: list[dict[str, Any]]) -> None:
        assert [one for one in found if one["state"] not in {"ok", "skipped"}] == []

    @pytest.mark.parametrize(
        ("name", "hybrid", "retried", "classical"),
        [
            ("standard", "X25519MLKEM768 in 1", "X25519MLKEM768 in 2", "x25519 in 1"),
            ("off", "x25519 in 2", "x25519 in 1", "x25519 in 1"),
            ("report", "X25519MLKEM768 in 1", "X25519MLKEM768 in 2", "x25519 in 1"),
            ("require", "X25519MLKEM768 in 1", "X25519MLKEM768 in 2", "handshake_failure (40)"),
            ("high", "X25519MLKEM768 in 1", "X25519MLKEM768 in 2", "secp384r1 in 1"),
            ("critical", "X25519MLKEM768 in 1", "X25519MLKEM768 in 2", "handshake_failure (40)"),
            ("cnsa", "SecP384r1MLKEM1024 in 1", "SecP384r1MLKEM1024 in 2", "handshake_failure (40)"),
            ("six", "X25519MLKEM768 in 1", "X25519MLKEM768 in 2", "x25519 in 1"),
        ],
    )
    def test_each_policy(
        self, found: list[dict[str, Any]], name: str, hybrid: str, retried: str, classical: str
    ) -> None:
        for check, words in (
            ("hybrid key share", hybrid),
            ("hello in many segments", hybrid),
            ("classical key share", retried),
            ("classical client", classical),
            ("resumption", "a ticket resumes with a new key exchange"),
            ("TLS 1.2", "protocol_version (70)"),
            ("unknown server name", "unrecognized_name (112)"),
        ):
            finding = of(found, check, f"{name} ")
            assert finding["state"] == "ok"
            assert words in finding["found"], finding

    def test_default_identity_answers_for_unknown_names(self, found: list[dict[str, Any]]) -> None:
        assert "by the identity chat" in of(found, "unknown server name", "lenient ")["found"]

    def test_mldsa_is_served_where_a_certificate_is(self, found: list[dict[str, Any]]) -> None:
        answers = [one for one in found if one["check"] == "ML-DSA client"]
        served = [one["subject"] for one in answers if "an ML-DSA certificate answers" in one["found"]]
        assert served
        assert all("dual.test" in one and "modern.test" in one for one in served), "names that answer alike are one"
        assert any(" on standard" in one for one in served)
        (refused,) = (one for one in answers if "the identity has no ML-DSA certificate" in one["found"])
        assert refused["subject"].startswith(
            "chat.test, plexigate-doctor.chat.test, files.test, localhost on standard, "
        )

    def test_requests_come_through(self, found: list[dict[str, Any]]) -> None:
        for check in ("HTTP/1.1", "HTTP/2"):
            assert of(found, check, "standard ")["found"] == "the server behind the proxy answers 200"
        assert "the handshake came through" in of(found, "WebSocket", "standard ")["found"]

    def test_the_proxy_finds_nothing_odd_about_the_doctor(self, found: list[dict[str, Any]], gateway: Gateway) -> None:
        assert found
        assert not events(gateway.program.output, "error")


def test_bill_of_materials_has_what_was_observed(gateway: Gateway, tmp_path: Path) -> None:
    assert gateway.s_client("-groups", "X25519MLKEM768", on="critical").group == "X25519MLKEM768"
    (file,) = gateway.trust.directory.glob("gateway-0.toml")
    out = tmp_path / "out.json"
    command = [PLEXIGATE, "doctor", str(file), "--cbom", str(out)]
    done = prepared.run(command, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert faults(out.read_text()) == []
    components = {one["bom-ref"]: one for one in json.loads(out.read_text())["components"]}
    protocol = components["protocol/tls/critical"]
    observed = {one["name"]: one["value"] for one in protocol["properties"]}
    assert int(observed["plexigate:observed:group:X25519MLKEM768"]) >= 1
    assert "algorithm/X25519MLKEM768" in protocol["cryptoProperties"]["protocolProperties"]["cryptoRefArray"]
    assert components["algorithm/ML-DSA-65"]["cryptoProperties"]["oid"] == "2.16.840.1.101.3.4.3.18"


def configuration(directory: Path, port: int, files: CertificateFiles) -> Path:
    """A configuration that promises hybrid key exchange on a port that another program has."""
    file = directory / "plexigate.toml"
    top = f'admin.socket = "{directory}/none.sock"\n'
    listening = listener("public", bind=f"127.0.0.1:{port}", http=["http/1.1"])
    file.write_text(top + listening + identity("local", ("localhost",), files))
    return file


def wrong(findings: list[dict[str, Any]]) -> dict[str, str]:
    assert all(one["remedy"] for one in findings if one["state"] in {"failure", "warning"})
    return {one["check"]: one["found"] for one in findings if one["state"] == "failure"}


@contextmanager
def s_server(files: CertificateFiles, *arguments: str) -> Iterator[int]:
    port = lasting_port()
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(files.certificate)]
    with program([*command, "-key", str(files.key), *arguments], lambda line: line if "ACCEPT" in line else None):
        yield port


class TestWrongServers:
    def test_classical_groups_only(self, tmp_path: Path, localhost: CertificateFiles) -> None:
        with s_server(localhost, "-groups", "X25519:secp256r1", "-tls1_3", "-www") as port:
            status, findings = examined(configuration(tmp_path, port, localhost))
        assert status == 1
        failures = wrong(findings)
        for check in ("hybrid key share", "classical key share", "hello in many segments"):
            assert "x25519" in failures[check]
            assert "X25519MLKEM768 was to be expected: recorded traffic can be decrypted later" in failures[check]
        assert "default = reject has to refuse unknown names" in failures["unknown server name"]
        assert "classical client" not in failures

    def test_nginx_with_tls_1_2(self, tmp_path: Path, localhost: CertificateFiles) -> None:
        binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        assert binary is not None, "nginx is missing: ./dev setup installs it"
        port = lasting_port()
        settings = tmp_path / "nginx.conf"
        temporary = " ".join(
            f"{kind}_temp_path {tmp_path}/t;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        settings.write_text(
            f"daemon off; master_process off; pid {tmp_path}/pid; error_log stderr notice; events {{}}\n"
            f"http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2;\n"
            f"ssl_certificate {localhost.certificate}; ssl_certificate_key {localhost.key}; }} }}\n"
        )
        command = [binary, "-c", str(settings), "-p", str(tmp_path), "-e", "stderr"]
        with program(command, lambda line: line if "using the" in line or "start" in line else None):
            status, findings = examined(configuration(tmp_path, port, localhost))
        assert status == 1
        failures = wrong(findings)
        assert failures["TLS 1.2"] == "TLSv1.2 is accepted, without post-quantum key exchange"
        assert "X25519MLKEM768 was to be expected" in failures["hybrid key share"]

    def test_nothing_listens(self, tmp_path: Path, localhost: CertificateFiles) -> None:
        status, findings = examined(configuration(tmp_path, lasting_port(), localhost))
        assert [(one["state"], one["found"]) for one in findings] == [
            ("skipped", "no proxy runs, and nothing listens there")
        ]
        assert status in {0, 1}
