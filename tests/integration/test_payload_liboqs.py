"""Sessions by a suite of liboqs, through the genuine liboqs-python with a library that hides nothing: workers find and use it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.integration.stage import Site, Upstream, serving, write_configuration
from tests.integration.upstreams import OK, Peer, scripted
from tests.programs import PLEXIGATE
from tests.toy_liboqs import build_toy_liboqs

SUITE = "X25519-FrodoKEM976"
SETTINGS = f'[payload]\ndirectory = "payload"\n[payload.sessions]\nsuites = ["{SUITE}", "MLKEM768-X25519"]\n'
# A process of its own, whose liboqs is another one or none, with the package that an operator hands to authors of clients.
CLIENT = """
import json, sys, time
import requests
package, suite, url, ca, pinned = sys.argv[1:]
sys.path.insert(0, package)
from plexigate_payload import DocumentRefused, PinnedIdentity, SessionOffer
from plexigate_payload.liboqs import liboqs_suite
session = requests.Session()
session.verify, session.trust_env = ca, False
answer = session.get(url + "/.well-known/payload-keys")
again = session.get(answer.url, headers={"If-None-Match": answer.headers["ETag"]})
assert (again.status_code, again.content) == (304, b"")
document = answer.content
pinned = PinnedIdentity.from_json(json.loads(pinned))
try:
    offer = SessionOffer.to(document, pinned, time.time(), {suite: liboqs_suite(suite)})
except DocumentRefused as error:
    print("refused:", error)
else:
    client = offer.accepted(session.post(url + "/.well-known/payload-sessions", data=offer.body).content, time.time)
    sealed = client.request("GET", url + "/chat/x")
    answer = session.get(url + "/chat/x", headers=sealed.headers)
    print(answer.status_code, sealed.open(answer.status_code, answer.headers, answer.content))
"""


def script(peer: Peer) -> None:
    """Answer whatever is asked."""
    for _ in peer.requests():
        peer.send(OK)


def asked(proxy: Site, liboqs: Path) -> str:
    """What a client with this liboqs says."""
    command = [PLEXIGATE, "payload", "identity", "--config", str(proxy.configuration)]
    pinned = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    package = liboqs.parent / "client"
    if not package.exists():
        subprocess.run([PLEXIGATE, "payload", "client", "--python", str(package)], check=True, timeout=30)
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(package), SUITE, proxy.url("").rstrip("/"), str(proxy.ca), pinned],
        env={"OQS_INSTALL_PATH": str(liboqs), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def warnings(proxy: Site) -> list[dict[str, Any]]:
    """What it has warned of at its start."""
    entries = [json.loads(line) for line in list(proxy.program.output) if line.startswith("{")]
    return [entry for entry in entries if entry["event"] == "warning" and "payload.sessions" in json.dumps(entry)]


def test_session_is_agreed_on_and_another_variant_is_refused(
    tmp_path: Path, authority: Authority, localhost: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = build_toy_liboqs(tmp_path / "newer")
    older = build_toy_liboqs(tmp_path / "older", ciphertext=40)
    # a process keeps the library that it has loaded: that of the proxy changes with a restart, as in an upgrade
    used = tmp_path / "used"
    used.symlink_to(older)
    monkeypatch.setenv("OQS_INSTALL_PATH", str(used))
    with scripted(script, tmp_path / "chat.sock"):
        upstreams = {
            "chat": Upstream((f"unix:{tmp_path}/chat.sock",), route='payload = "accept"\npayload_sessions = true')
        }
        configuration = write_configuration(tmp_path, localhost, upstreams, SETTINGS)
        with serving(configuration, authority) as proxy:
            assert warnings(proxy) == []
            assert asked(proxy, older) == "200 b'ok'"
            assert asked(proxy, newer) == (
                f"refused: {SUITE} is FrodoKEM-976-AES/32/40 there, and FrodoKEM-976-AES/32/48 here"
            )
        used.unlink()
        used.symlink_to(newer)
        with serving(configuration, authority) as proxy:
            (warning,) = warnings(proxy)
            assert "FrodoKEM-976-AES/32/40" in json.dumps(warning)
            assert asked(proxy, newer) == "200 b'ok'"
            assert asked(proxy, older).startswith("refused: ")


def test_check_answers_in_json_where_liboqs_is_used(
    tmp_path: Path, localhost: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OQS_INSTALL_PATH", str(build_toy_liboqs(tmp_path / "oqs")))
    upstreams = {"chat": Upstream(("http://127.0.0.1:1",), route='payload = "accept"\npayload_sessions = true')}
    configuration = write_configuration(tmp_path, localhost, upstreams, SETTINGS)
    command = [PLEXIGATE, "check", "--json", str(configuration)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert json.loads(done.stdout)["ok"], done.stdout
