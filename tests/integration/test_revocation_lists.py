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
from tests.web_documents import web_documents


def openssl(running: RotatingScene) -> str:
    """What OpenSSL says of the chain, which fetches the list at the address in the certificate."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", "-servername", "localhost"]
    checks = ["-CAfile", str(running.root), "-crl_check", "-crl_download"]
    done = subprocess.run([*command, *checks], input="", capture_output=True, text=True, timeout=20, check=False)
    found = re.search(r"Verify return code: (.*)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    return found[1]


def test_a_client_that_looks_for_revocations_is_served_and_sees_them(tmp_path: Path) -> None:
    """The status has the list, and the log that is watched beside it."""
    port = lasting_port()
    url = f"http://127.0.0.1:{port}/ca.crl"
    with web_documents() as web:
        web.contents["/ct/v1/get-sth"] = b'{"tree_size": 7}'
        further = f'[plain]\nbind = "127.0.0.1:{port}"\n[ct]\nwatch = "{web.url}"'
        with rotating(tmp_path, RotatingScene, issuer=f'crl_url = "{url}"', rotation=further) as running:
            assert openssl(running) == "0 (ok)"
            compromised = int(running.served(), 16)
            assert running.rotate(credential="ec", compromised="1")[-1] == {"ok": True}
            until_found(lambda: compromised in revoked(url))
            assert openssl(running) == "0 (ok)"
            configuration = str(running.directory / "plexigate.toml")
            command = [PLEXIGATE, "certs", "check", "local", "--config", configuration]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert f"the revocation list {url}?1 is current until " in done.stdout
            assert done.returncode == 0, done.stdout
            watched = until_found(lambda: running.commands.get("/status")[1]["watched_logs"])
            assert watched == [{"log": web.url, "read": 7, "size": 7, "fault": None}]
            lists = running.commands.get("/status")[1]["revocation_lists"]
            assert [(one["of"], one["name"], one["fault"]) for one in lists] == [("issuer", "internal", None)]


def revoked(url: str) -> set[int]:
    """The serial numbers on a list."""
    return {one.serial_number for one in x509.load_der_x509_crl(fetch(url, 10_000, 5.0))}
