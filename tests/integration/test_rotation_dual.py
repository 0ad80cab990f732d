"""ECDSA and ML-DSA on one name, each rotating by itself; judged by clients with a real trust store and no switch turned off."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.rotation import SECOND, RotatingScene, rotating


def openssl(running: RotatingScene, *options: str) -> str:
    """The kind of signature that OpenSSL was shown, after it has verified the chain and the name."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", "-servername", "localhost", *options]
    verified = ["-CAfile", str(running.root), "-verify_return_error", "-verify_hostname", "localhost", "-x509_strict"]
    done = subprocess.run([*command, *verified], input="", capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert "Verify return code: 0 (ok)" in done.stdout
    found = re.search(r"Peer signature type: (\S+)", done.stdout)
    assert found is not None, done.stdout
    return found[1]


def curl(running: RotatingScene) -> None:
    """curl of Debian, which lists ML-DSA, trusts the root and gets a page."""
    url = f"https://localhost:{running.port}/"
    subprocess.run(
        ["curl", "--silent", "--fail", "--cacert", str(running.root), url], check=True, timeout=20, capture_output=True
    )


def serials(running: RotatingScene) -> dict[str, str]:
    return {one["credential"]: one["serial"] for one in running.certificates()}


@pytest.mark.parametrize(("prefer", "shown"), [("classical", "ecdsa_secp256r1_sha256"), ("mldsa", "mldsa65")])
def test_each_client_gets_what_it_can_verify(tmp_path: Path, prefer: str, shown: str) -> None:
    with rotating(tmp_path, RotatingScene, second=SECOND, prefer=prefer) as running:
        assert openssl(running) == shown
        assert openssl(running, "-sigalgs", "mldsa65") == "mldsa65"
        assert openssl(running, "-sigalgs", "ecdsa_secp256r1_sha256") == "ecdsa_secp256r1_sha256"
        curl(running)
        before = serials(running)
        assert running.rotate(credential="mldsa-65")[-1] == {"ok": True}
        after = serials(running)
        assert after["ec"] == before["ec"]
        assert after["mldsa-65"] != before["mldsa-65"]
        assert openssl(running, "-sigalgs", "mldsa65") == "mldsa65"
        rows = running.shown()
        assert {(row["worker"], row["algorithm"], row["fault"]) for row in rows} == {
            (worker, algorithm, None) for worker in (0, 1) for algorithm in ("ecdsa-p256", "mldsa-65")
        }
