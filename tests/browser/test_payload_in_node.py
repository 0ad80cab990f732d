"""The browser's module in Node, against a running proxy: another implementation of everything from HPKE to the last token."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxy.admin.client import UnixAdminClient
from proxy.commands.payload_clients import ClientLanguage, write_client
from tests.certificates import Authority
from tests.integration.stage import Upstream, serving, write_configuration
from tests.integration.test_payload import backend
from tests.integration.upstreams import in_thread

ROUTES = {
    "chat": 'payload = "require"\npayload_ring = "chat"',
    "bound": 'payload = "require"\npayload_ring = "bound"',
    "plexi": 'payload = "require"\npayload_ring = "plexi"',
    "session": 'payload = "require"\npayload_sessions = true',
}
RINGS = """
[payload]
directory = "rings"
[payload.ring.chat]
[payload.ring.bound]
bind = true
[payload.ring.plexi]
envelope = "plexichat"
"""
ANSWERS = {"small": 5, "large": 300_000, "blob": 200_000, "answer": 300_000, "head": 200}


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_client_in_node_is_understood_and_understands(tmp_path: Path, version: str) -> None:
    assert shutil.which("node"), "Node is missing (apt-get install nodejs)"
    authority = Authority(tmp_path)
    settings = f'[listener.public]\nbind = "127.0.0.1:0"\nhttp = ["{version}"]\n{RINGS}[payload.sessions]\nsuites = ["MLKEM768-X25519", "MLKEM1024-P384"]\n'
    with in_thread(backend) as port:
        upstreams = {name: Upstream((f"http://127.0.0.1:{port}",), route=route) for name, route in ROUTES.items()}
        configuration = write_configuration(tmp_path, authority.issue("localhost"), upstreams, settings)
        with serving(configuration, authority) as proxy:
            admin = UnixAdminClient(configuration.with_suffix(".sock"))
            exported = {ring: admin.get(f"/payload/{ring}/export")[1] for ring in ("chat", "bound", "plexi")}
            keys = {"exported": exported, "pinned": admin.get("/payload-identity")[1]}
            told = _run(proxy.url("/"), keys, authority.path, version)
    expected: dict[str, Any] = {f"{ring} {step}": answer for ring in exported for step, answer in ANSWERS.items()}
    expected |= {"session": 5, "session again": 70_000, "other session": 5}
    assert {step: told[step] for step in expected} == expected
    assert told["stranger"] == "AnswerNotSealed: urn:plexigate:problem:payload-token-invalid"
    assert told["forged"] == "PayloadFault: keys that the pinned identity has not signed"


def _run(url: str, keys: dict[str, Any], ca: Path, version: str) -> dict[str, Any]:
    script = Path(__file__).with_name("payload_in_node.js")
    client = ca.with_name("client")
    write_client(ClientLanguage.JAVASCRIPT, client, replaces=False)
    # beside its package.json, by which Node takes a file for a module
    (client / script.name).write_bytes(script.read_bytes())
    modules = [client / name for name in (script.name, "payload.js", "payload-libraries.js")]
    done = subprocess.run(
        ["node", str(modules[0]), url, *map(str, modules[1:]), version],
        input=json.dumps(keys),
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(ca)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told
