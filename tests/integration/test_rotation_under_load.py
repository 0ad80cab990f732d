"""Rotations while clients of every kind are busy: nobody notices. Short forms; `./dev soak rotations` has the long ones."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.acme.renewal_info import certificate_id
from tests.acme_directory import DAY, acme_directory
from tests.integration.rotation import AcmeScene, rotating
from tests.soak.rotations import rotations_by_command

ROTATIONS = 4
SOCKETS = 40


@pytest.mark.alone
async def test_rotations_are_not_noticed(tmp_path: Path) -> None:
    outcome = await rotations_by_command(tmp_path, ROTATIONS, SOCKETS)
    assert outcome.faults == []
    assert len(outcome.serials) == ROTATIONS
    assert outcome.tally.handshakes > SOCKETS + ROTATIONS
    assert outcome.tally.messages >= SOCKETS
    assert outcome.tally.retried == 0


def test_a_ca_that_wants_its_certificate_renewed_gets_its_way(tmp_path: Path) -> None:
    """RFC 9773: the window is obeyed, and the certificate that is replaced is named."""
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the proxy has no other clock
    with acme_directory(tmp_path) as ca:
        ca.window, ca.profiles = (now + 2 * DAY, now + 3 * DAY), {"shortlived": "six days"}
        (tmp_path / "root.pem").write_bytes(ca.root.public_bytes(Encoding.PEM))
        acme = {"directory": ca.url, "ca_file": str(ca.trust), "root_file": "root.pem", "profile": "shortlived"}
        with rotating(tmp_path, AcmeScene, acme=acme) as running:
            running.running.wait_for(lambda _: running.events("rotated") or None)
            (first,) = (tmp_path / "state").rglob("v000001/chain.pem")
            leaf = x509.load_pem_x509_certificate(first.read_bytes())
        ca.window = (now - DAY, now)
        with rotating(tmp_path, AcmeScene, acme=acme) as running:
            running.running.wait_for(lambda _: running.events("rotated") or None)
            (begun,) = running.events("rotation")
            rows = running.shown()
    assert begun["reason"] == "the issuer asks to renew it (ARI)"
    assert ca.replaced == {certificate_id(leaf)}
    assert [order.asked["profile"] for order in ca.orders] == ["shortlived"] * 2
    assert {(row["worker"], row["fault"]) for row in rows} == {(0, None), (1, None)}
