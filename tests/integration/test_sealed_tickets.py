"""A restart: tickets from before still resume, a sealed private key serves again, and neither is on the disk in the clear. Before
it, the sealing key was rotated while the proxy ran, and the previous one destroyed."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typer.testing import CliRunner

from config.loading.loader import load
from proxy.admin.client import UnixAdminClient
from proxy.commands.cli import app
from proxy.supervisor.secrets.safe import TICKETS_FILE, Safe, now_in_utc
from proxy.supervisor.secrets.ticket_record import TicketRecord
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token
from tests.integration.gateway import complaints, events
from tests.integration.hsm_scene import ROUTE, Scene
from tests.programs import Program, plexigate
from tests.waiting import until_found

if TYPE_CHECKING:
    import ssl

MASTER = "sealing.aes-256.v1"
NEXT = "sealing.aes-256.v2"


def configuration(site: HsmSite, plexi: Token, certificate: Path, key: Path) -> Path:
    identity = f'[identity.local]\nnames = ["localhost"]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    sealing = f'[sealing]\nkey = "pkcs11:token=plexi;object={MASTER}"\ndirectory = "state"\n'
    return site.write(site.tokens(plexi), identity, ROUTE, sealing)


def files_below(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]


def command(*words: str) -> None:
    done = CliRunner().invoke(app, ["hsm", *words])
    assert done.exit_code == 0, done.output


def test_tickets_and_a_sealed_key_outlive_the_process(hsm_site: HsmSite, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**hsm_site.hsm.environment, "STATE_DIRECTORY": str(hsm_site.directory / "pins")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    plexi = hsm_site.hsm.add_token("plexi")
    issued, sealed = hsm_site.authority.issue("localhost"), hsm_site.directory / "localhost.sealed"
    path = configuration(hsm_site, plexi, issued.certificate, sealed)
    pem = issued.key.read_bytes()
    command("init", "--no-recovery", "--yes", "--config", str(path))
    command("seal", str(sealed), "--from", str(issued.key), "--config", str(path))
    issued.key.unlink()

    client: ssl.SSLContext | None = None
    session: ssl.SSLSession | None = None
    for _ in range(2):
        with plexigate(path) as running:
            scene = Scene(hsm_site, running, *[hsm_site.hsm.shim.token("plexi")] * 2)
            if client is None:
                client = scene.client()
                session = scene.resumable(client)
                rotate_sealing(path, running)
                with scene.connect(client, session) as tls:
                    assert tls.session_reused, "after the rotation"
            else:
                with scene.connect(client, session) as tls:
                    assert tls.session_reused, "after the restart"
                scene.until(lambda: sealing_key(path) == f"pkcs11:token=plexi;object={NEXT}")
        assert complaints(running.output) == []

    kept = _kept(path).secrets
    assert (hsm_site.directory / "state" / TICKETS_FILE).stat().st_mode & 0o777 == 0o600
    for content in files_below(hsm_site.directory):
        assert not [one for one in (kept.current, kept.current.hex().encode(), pem, _scalar(pem)) if one in content]


def rotate_sealing(path: Path, running: Program[dict[str, list[str]]]) -> None:
    command("rotate-sealing", "--no-recovery", "--config", str(path))
    path.write_text(path.read_text().replace(MASTER, NEXT))
    os.kill(running.pid, signal.SIGHUP)
    running.wait_for(lambda output: events(output, "reloaded") or None)
    until_found(lambda: sealing_key(path) == f"pkcs11:token=plexi;object={NEXT}")
    command("rotate-sealing", "--end-previous", "--config", str(path))
    command("destroy", MASTER, "--token", "plexi", "--yes", "--config", str(path))


def sealing_key(path: Path) -> str | None:
    """What a running proxy says of it."""
    sealing = UnixAdminClient(path.with_suffix(".sock")).get("/status")[1]["sealing"]
    return None if sealing is None else str(sealing["key"])


def _scalar(pem: bytes) -> bytes:
    key = load_pem_private_key(pem, None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32, "big")


def _kept(path: Path) -> TicketRecord:
    """What is sealed there, as the next process would open it."""
    safe = Safe(now_in_utc)
    tickets, problems = safe.tickets(load(path))
    assert problems == []
    return TicketRecord(tickets, safe.since)
