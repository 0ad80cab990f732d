"""The whole proxy beside pebble: a configuration, and certificates come by themselves into every worker."""

import json
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import pebble as pebbles
from tests import prepared
from tests.configurations import MINIMAL_REST, listener
from tests.integration.gateway import complaints, events
from tests.integration.rotation import AcmeScene
from tests.pebble import MAC_KEY, Pebble
from tests.ports import lasting_port
from tests.programs import PLEXIGATE, Program, plexigate

SECONDS = 30


@dataclass(frozen=True)
class Running:
    """A proxy with two workers, whose certificate comes from pebble."""

    program: Program[dict[str, list[str]]]
    port: int
    http_port: int
    root: bytes

    def serial_numbers(self) -> set[str]:
        """Of what is served, verified against pebble's root, by so many connections that both workers are met."""
        context = ssl.create_default_context(cadata=self.root.decode())
        found = set()
        for _ in range(24):
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as sock,
                context.wrap_socket(sock, server_hostname="chat.test") as tls,
            ):
                certificate = tls.getpeercert()
                assert certificate is not None
                found.add(str(certificate["serialNumber"]))
        return found


@contextmanager
def running(directory: Path, challenge: str, *, is_trusted: bool = True) -> Iterator[Running]:
    """Run both; not `is_trusted`: the proxy is not told of pebble's root."""
    port, http_port = lasting_port(), lasting_port()
    with pebbles.names() as names:
        pebble = Pebble(directory, names.dns, http_port, port)
        issuer = {"type": "acme", **AcmeScene.by_pebble(pebble, directory, challenge, port, http_port)["acme"]}
        if not is_trusted:
            del issuer["root_file"]
        configuration = directory / "plexigate.toml"
        configuration.write_text(
            f"workers = 2\nadmin.socket = {json.dumps(str(directory / 'admin.sock'))}\n"
            + listener("public", bind=f"127.0.0.1:{port}", pq="require")
            + '[identity.chat]\nnames = ["chat.test"]\n[[identity.chat.credential]]\nkey = "ec-p256@file"\nissuer = "pebble"\n'
            + "[issuer.pebble]\n"
            + "".join(f"{key} = {json.dumps(value)}\n" for key, value in issuer.items())
            + f'[plain]\nbind = "127.0.0.1:{http_port}"\n[rotation]\nstate = "state"\n'
            + MINIMAL_REST
        )
        with pebble.up():
            (directory / "root.pem").write_bytes(root := pebble.root)
            with plexigate(configuration) as one:
                yield Running(one, port, http_port, root)
                assert complaints(one.output) == [] or not is_trusted


def refused_rotation(output: list[str]) -> dict[str, Any] | None:
    """The alert that tells a person of it, once it is there."""
    return next((one for one in events(output, "alert_raised") if one["kind"] == "rotation_refused"), None)


@pytest.mark.parametrize("challenge", ["tls-alpn-01", "http-01"])
def test_certificate_comes_by_itself(tmp_path: Path, challenge: str) -> None:
    with running(tmp_path, challenge) as proxy:
        proxy.program.wait_for(lambda output: events(output, "rotated") or None)
        assert len(proxy.serial_numbers()) == 1
        looked_at = {event["name"] for event in events(proxy.program.output, "challenge_answered")}
        assert looked_at == ({"chat.test"} if challenge == "tls-alpn-01" else set())
        (account,) = (tmp_path / "state" / "accounts").iterdir()
        assert stat.S_IMODE(account.stat().st_mode) == 0o600
        told = "\n".join(proxy.program.output)
        assert "pebble: issued for chat.test" in told
        assert "PRIVATE KEY" not in told
        assert MAC_KEY not in told


def test_a_certificate_whose_root_the_system_does_not_trust_is_not_served(tmp_path: Path) -> None:
    with running(tmp_path, "http-01", is_trusted=False) as proxy:
        (failed, *_) = proxy.program.wait_for(lambda output: events(output, "rotation_failed") or None)
        assert (failed["step"], failed["kind"]) == ("checks", "permanent")
        assert 'at its end is signed by "CN=Pebble Root CA' in failed["detail"]
        assert "not among what the system trusts" in failed["detail"]
        assert failed["detail"].endswith("for a CA of your own set issuer.pebble.root_file to its root")
        raised = proxy.program.wait_for(refused_rotation)
        assert (raised["subject"], raised["urgency"]) == ("chat ec", "serious")
        assert failed["detail"] in raised["text"]
        with pytest.raises(ssl.SSLError):
            proxy.serial_numbers()
        checked = prepared.run([PLEXIGATE, "check", str(tmp_path / "plexigate.toml")])
        assert "issuer.pebble.ca_file" in checked.stdout + checked.stderr
        shelf = tmp_path / "state" / "credentials" / "chat"
        assert list(shelf.rglob("chain.pem")) == []
