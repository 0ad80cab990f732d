"""What is known of the identities of an edition."""

from pathlib import Path

from tests.client_authorities import ClientAuthority
from tests.configurations import Site
from tests.workforces import edition_of


def test_a_certificate_is_known_by_its_file_and_not_as_issued(site: Site) -> None:
    (one,) = edition_of(site, site.minimal).identities.certificates
    assert (one.identity, one.keys, one.is_issued) == ("chat", (str(site.chat.key),), False)


def test_lists_of_revoked_clients_are_known_by_their_end(site: Site) -> None:
    root = ClientAuthority("Root")
    (site.directory / "clients.pem").write_bytes(root.pem)
    (site.directory / "clients.crl").write_bytes(root.revocations())
    table = '[identity.chat.client_certificates]\nca = "clients.pem"\n'
    assert edition_of(site, site.minimal + table).identities.revocations == []
    edition = edition_of(site, site.minimal + table + 'crl = "clients.crl"\n')
    (one,) = edition.identities.revocations
    assert (one.name, one.expires_at - one.begins_at) == ("chat", 8 * 86_400)
    paths = {Path(path).name for path in edition.material}
    assert {"clients.pem", "clients.crl"} <= paths
