"""Revocation lists that certificates name, as a client finds them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.issuing.internal_ca.authority import InternalAuthority
from proxy.trust.list_check import list_checks
from tests.certs.authority import DAY, NOW
from tests.certs.issuing.internal_ca.test_authority import Clock, authority, issued
from tests.client_authorities import ClientAuthority
from tests.web_documents import WebDocuments, web_documents


@pytest.fixture
def web() -> Iterator[WebDocuments]:
    with web_documents() as made:
        yield made


def ours(
    web: WebDocuments, directory: Path, clock: Clock | None = None
) -> tuple[InternalAuthority, list[x509.Certificate]]:
    """An authority whose list the web server has, and a chain of it."""
    issuer = authority(directory, clock, crl_url=f"{web.url}/a.crl")
    chain = issued(issuer)
    put(web, issuer)
    return issuer, chain


def put(web: WebDocuments, issuer: InternalAuthority) -> None:
    (one,) = issuer.published_lists().values()
    web.contents["/a.crl"] = one.public_bytes(Encoding.DER)


def faults(chain: list[x509.Certificate], days: int = 0) -> list[str]:
    return [one.text.partition("?1 ")[2] for one in list_checks(chain, NOW + days * DAY) if one.is_fault]


def test_a_current_list_is_well(web: WebDocuments, tmp_path: Path) -> None:
    _, chain = ours(web, tmp_path)
    (found,) = list_checks(chain, NOW)
    assert not found.is_fault
    assert found.text.endswith(f"/a.crl?1 is current until {NOW + 7 * DAY:%Y-%m-%d %H:%M} UTC")
    assert web.asked == ["/a.crl?1"]
    assert list(list_checks(chain[1:], NOW)) == [], "an intermediate of ours names none"


def test_what_is_wrong_is_said(web: WebDocuments, tmp_path: Path) -> None:
    issuer, chain = ours(web, tmp_path / "a")
    assert faults(chain, -1)[0].startswith("is current only from")
    assert faults(chain, 7)[0].startswith("expired at")
    issuer.revoke(chain[0])
    put(web, issuer)
    assert faults(chain) == ["has this certificate: it is revoked"]
    web.contents["/a.crl"] = issuer.revocation_list()
    assert faults(chain) == ["is no list in DER"]
    other, _ = ours(web, tmp_path / "b")
    put(web, other)
    assert faults(chain) == ["is not of the issuer of the certificate"]
    assert faults(chain[:1]) == ["cannot be verified: the chain lacks the issuer of the certificate"]
    delta = x509.load_pem_x509_crl(ClientAuthority("A").revocations(critical=x509.DeltaCRLIndicator(1)))
    web.contents["/a.crl"] = delta.public_bytes(Encoding.DER)
    assert faults(chain) == ["is a delta, which has only the latest changes"]
    del web.contents["/a.crl"]
    (found,) = list_checks(chain, NOW)
    assert found.is_fault
    assert found.text.endswith("/a.crl?1 cannot be fetched: the server answered with status 404")
