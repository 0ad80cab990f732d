"""Payload encryption over HTTP/2: what clients seal and open is the same as over HTTP/1.1."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from proxy.admin.client import UnixAdminClient
from proxy.payload.client import PayloadClient, SealedRequest, SessionOffer
from proxy.payload.key_document import PinnedIdentity
from proxy.payload.keys.suites import BUILT_IN
from tests.certificates import Authority, CertificateFiles
from tests.integration.http2 import LISTENER, context_for
from tests.integration.stage import Site, Upstream, serving, write_configuration
from tests.integration.test_payload import ROUTES, SETTINGS, backend
from tests.integration.upstreams import in_thread

NOW = time.time  # noqa: TID251 - clients beside a proxy that has the real clock too
SIZES = (5, 300_000)


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy with rings and sessions."""
    directory = tmp_path_factory.mktemp("payload")
    with in_thread(backend) as port:
        upstreams = {name: Upstream((f"http://127.0.0.1:{port}",), route=route) for name, route in ROUTES.items()}
        settings = LISTENER + SETTINGS.format(name="http2")
        with serving(write_configuration(directory, localhost, upstreams, settings), authority) as running:
            yield running


@pytest.fixture
def client(proxy: Site) -> Iterator[httpx.Client]:
    """A client that speaks HTTP/2 alone."""
    with httpx.Client(http1=False, http2=True, verify=context_for(str(proxy.ca)), trust_env=False) as client:
        yield client


def told(proxy: Site, path: str) -> Any:
    """What the admin socket says."""
    status, document = UnixAdminClient(proxy.configuration.with_suffix(".sock")).get(path)
    assert status == 200, document
    return document


def opened(client: httpx.Client, sealed: SealedRequest, url: str) -> bytes:
    """Send a request; gives what its answer says."""
    body = sealed.body if isinstance(sealed.body, bytes) else iter(sealed.body or ())
    answer = client.post(url, content=body, headers=sealed.headers)
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200), answer.text
    return sealed.open(answer.status_code, dict(answer.headers), answer.content)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ring", ["chat", "bound", "plexi"])
def test_rings(proxy: Site, client: httpx.Client, ring: str, size: int) -> None:
    url, body = proxy.url(f"/{ring}/send"), bytes(size)
    sealed = PayloadClient.of_ring(told(proxy, f"/payload/{ring}/export"), NOW).request("POST", url, body)
    got = json.loads(opened(client, sealed, url))
    assert (got["count"], got["sha256"]) == (size, hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize("suite", ["MLKEM768-X25519", "MLKEM1024-P384"])
def test_sessions(proxy: Site, client: httpx.Client, suite: str) -> None:
    pinned = PinnedIdentity.from_json(told(proxy, "/payload-identity"))
    document = client.get(proxy.url("/.well-known/payload-keys")).content
    offer = SessionOffer.to(document, pinned, NOW(), {suite: BUILT_IN[suite]})
    answer = client.post(proxy.url("/.well-known/payload-sessions"), content=offer.body)
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
    sealing, url = offer.accepted(answer.content, NOW), proxy.url("/session/send")
    for body in (b"hello", iter([bytes(1_000)] * 300)):  # the second one has no length
        got = json.loads(opened(client, sealing.request("POST", url, body), url))
        assert got["count"] in {5, 300_000}


def test_plain_body_is_refused(proxy: Site, client: httpx.Client) -> None:
    answer = client.post(proxy.url("/chat"), content=b"hello")
    assert answer.json()["type"] == "urn:plexigate:problem:payload-required"
