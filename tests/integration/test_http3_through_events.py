"""Clients of HTTP/3 notice neither reloads nor tokens that die or are slow: the short form of `./dev soak http3`."""

from pathlib import Path

import pytest

from proxy.quic.availability import unavailable
from tests.hsm.site import HsmSite
from tests.soak import http3

pytestmark = [
    pytest.mark.skipif(unavailable() is not None, reason=str(unavailable())),
    pytest.mark.alone,
]


def test_a_reload_loses_no_connection(tmp_path: Path) -> None:
    figures = http3.reloaded(tmp_path, connections=60, late_ms=1_500)
    assert figures.wrong == []
    assert figures.facts["lost"] == "0"


def test_no_handshake_fails_while_a_token_dies(hsm_site: HsmSite) -> None:
    figures = http3.tokens_killed(hsm_site, handshakes=250, while_dead=30)
    assert figures.wrong == []
    assert figures.facts["failed"] == "0"


def test_an_established_client_does_not_wait_for_slow_signatures(hsm_site: HsmSite) -> None:
    assert http3.slow_signatures(hsm_site, samples=300).wrong == []
