"""Clients show certificates to an identity whose key is in tokens: whichever context makes a step, it asks."""

import json
import ssl
from collections.abc import Iterator

import pytest

from tests.client_authorities import ClientAuthority, ClientFiles
from tests.hsm.shim import CKR_DEVICE_ERROR
from tests.hsm.site import HsmSite
from tests.integration.hsm_scene import RETRIED_GROUPS, USUAL_GROUPS, Scene, ask, scene

BOTS = ClientAuthority("Bots")
BELOW = ClientAuthority("Bots below", "mldsa-65", above=BOTS)


@pytest.fixture
def one(hsm_site: HsmSite) -> Iterator[Scene]:
    (hsm_site.directory / "bots.pem").write_bytes(BOTS.pem)
    with scene(hsm_site, settings='client_certificates = { ca = "bots.pem" }\n') as running:
        yield running


def client(one: Scene, groups: str, files: ClientFiles | None) -> ssl.SSLContext:
    context = one.client(groups)
    if files is not None:
        context.load_cert_chain(files.certificate, files.key)
    return context


def last_subject(one: Scene, *, resumed: bool, count: int) -> str:
    """Of the last request in the log."""

    def find(output: list[str]) -> list[str] | None:
        lines = [json.loads(line) for line in output if '"subject"' in line]
        found = [line["subject"] for line in lines if line["resumed"] is resumed]
        return found if len(found) == count else None

    return one.running.wait_for(find)[-1]


def test_every_way_to_a_flight_asks(one: Scene) -> None:
    """A signature at once, and after a HelloRetryRequest; each with a resumption on the context that never signs."""
    bot = BELOW.issue(one.site.directory, "bot")
    for count, groups in enumerate((USUAL_GROUPS, RETRIED_GROUPS), start=1):
        context = client(one, groups, bot)
        session = one.resumable(context)
        assert last_subject(one, resumed=False, count=count) == "CN=bot"
        with one.connect(context, session) as tls:
            assert tls.session_reused
            assert ask(tls) == 502  # by the proxy: there is nobody behind it
        assert last_subject(one, resumed=True, count=count) == "CN=bot"
        assert not one.serves(client(one, groups, None))
        assert not one.serves(client(one, groups, ClientAuthority("Mallory").issue(one.site.directory, "mallory")))


def test_the_token_that_steps_in_asks_too(one: Scene) -> None:
    context = client(one, USUAL_GROUPS, BELOW.issue(one.site.directory, "bot"))
    with one.plexi.failing(CKR_DEVICE_ERROR, "C_Sign"):
        one.handshake(context)
        assert last_subject(one, resumed=False, count=1) == "CN=bot"
        assert not one.serves(client(one, USUAL_GROUPS, None))
    one.until(lambda: one.metric("failures_total", reason="client_certificate_missing") == 1)
