"""Revocation lists of a running proxy's own CA, for a client that looks for revocations."""

import re
import subprocess
from pathlib import Path

from cryptography import x509

from proxy.net.fetching import fetch
from tests.integration.rotation import RotatingScene, rotating
from tests.ports import lasting_port
from tests.programs import PLEXIGATE
from tests.waiting import until_found


def openssl(running: RotatingScene) -> str:
    """What OpenSSL says of the chain, which fetches the list at the address in the certificate."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", "-servername", "localhost"]
    checks = ["-CAfile", str(running.root), "-crl_check", "-crl_download"]
    done = subprocess.run([*command, *checks], input="", capture_output=True, text=True, timeout=20, check=False)
    found = re.search(r"Verify return code: (.*)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    return found[1]


def test_a_client_that_looks_for_revocations_is_served_and_sees_them(tmp_path: Path) -> None:
    port = lasting_port()
    url = f"http://127.0.0.1:{port}/ca.crl"
    plain = f'[plain]\nbind = "127.0.0.1:{port}"'
    with rotating(tmp_path, RotatingScene, issuer=f'crl_url = "{url}"', rotation=plain) as running:
        assert openssl(running) == "0 (ok)"
        compromised = int(running.served(), 16)
        assert running.rotate(credential="ec", compromised="1")[-1] == {"ok": True}
        until_found(
            lambda: compromised in {one.serial_number for one in x509.load_der_x509_crl(fetch(url, 10_000, 5.0))}
        )
        assert openssl(running) == "0 (ok)"
        command = [PLEXIGATE, "certs", "check", "local", "--config", str(running.directory / "plexigate.toml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert f"the revocation list {url}?1 is current until " in done.stdout
        assert done.returncode == 0, done.stdout
