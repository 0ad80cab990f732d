"""The level `quantum-safe` in a running proxy: who signs what, down to the certificates of clients."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.client_authorities import ClientAuthority
from tests.configurations import identity, listener, process
from tests.integration.gateway import HOSTS, Gateway, Trust, events, gateway
from tests.integration.upstreams import ScriptedServer
from tests.programs import PLEXIGATE

SAFE = "mldsa-87"
BOTS = ClientAuthority("Bots", SAFE)


class Safe(Trust):
    """One identity that signs by ML-DSA-87, up to its root, and asks for certificates of clients."""

    def identities(self) -> str:
        """Its table."""
        (self.directory / "bots.pem").write_bytes(BOTS.pem)
        asking = f'[identity.all.client_certificates]\nca = "{self.directory}/bots.pem"\nmode = "optional"\n'
        return identity("all", HOSTS, self.classical.issue("all", HOSTS, kind=SAFE)) + asking


@pytest.fixture(scope="module")
def safe(echo_server: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("safe")
    trust = Safe(directory, Authority(directory, kind=SAFE), Authority(directory, "unused"))
    listeners = listener("strict", level="quantum-safe") + listener("standard")
    with gateway(directory, trust, echo_server, listeners) as running:
        yield running


def test_clients_sign_by_ml_dsa_87_or_not_at_all(safe: Gateway, tmp_path: Path) -> None:
    for kind, on, is_shown in (
        (SAFE, "strict", True),
        ("ecdsa-p256", "strict", False),
        ("ecdsa-p256", "standard", True),
    ):
        bot = BOTS.issue(tmp_path, f"bot {kind}", kind=kind)
        files = ("-cert", str(bot.certificate), "-key", str(bot.key))
        said = safe.s_client("-groups", "MLKEM1024:X25519", *files, on=on)
        assert said.is_established
        asked = next(line for line in said.output.splitlines() if line.startswith("Requested Signature Algorithms: "))
        assert (asked == "Requested Signature Algorithms: id-ml-dsa-87") is (on == "strict")
        assert (">>> TLS 1.3, Handshake [length 0008], Certificate" in said.output) is not is_shown


def test_chain_of_a_client_with_a_weaker_link_is_refused_and_logged(safe: Gateway, tmp_path: Path) -> None:
    bot = ClientAuthority("Old", "mldsa-44", above=BOTS).issue(tmp_path, "bot", kind=SAFE)
    files = ("-cert", str(bot.certificate), "-cert_chain", str(bot.certificate), "-key", str(bot.key))
    request = "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\r\n"
    assert "HTTP/1.1" not in safe.s_client("-quiet", "-groups", "MLKEM1024", *files, on="strict", say=request).output
    detail = 'signed with mldsa-44 by "CN=Old"; the level of the listener takes mldsa-87 alone'

    def told(output: list[str]) -> dict[str, Any] | None:
        return next((one for one in events(output, "handshake_failed") if one["detail"] == detail), None)

    assert safe.program.wait_for(told)["reason"] == "client_certificate_refused"


def test_check_names_the_issuer_that_signs_weaker(tmp_path: Path) -> None:
    trust = Safe(tmp_path, Authority(tmp_path, "Old root"), Authority(tmp_path, "unused"))
    path = tmp_path / "weak.toml"
    path.write_text(process(path.with_suffix(".sock")) + listener("strict", level="quantum-safe") + trust.identities())
    done = subprocess.run([PLEXIGATE, "check", "--json", str(path)], capture_output=True, timeout=60, check=False)
    errors = [one for one in json.loads(done.stdout)["problems"] if one["severity"] == "error"]
    assert [one["key"] for one in errors] == ["listener.strict.level"]
    assert errors[0]["found"].endswith(': all (mldsa-87, signed with ecdsa-sha256 by "CN=Old root")')
    assert done.returncode == 1


def test_certs_check_shakes_hands_at_the_level_too(safe: Gateway) -> None:
    """OpenSSL's own list of groups has none of the level."""
    directory = safe.trust.directory
    command = [PLEXIGATE, "certs", "check", "all", "--config", str(next(directory.glob("gateway-*.toml")))]
    done = subprocess.run(
        [*command, "--ca", str(safe.trust.classical.path), "--json"], capture_output=True, timeout=60, check=False
    )
    assert [one for one in json.loads(done.stdout) if not one["ok"]] == []
