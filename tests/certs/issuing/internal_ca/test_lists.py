"""The lists of an internal CA: there from the first certificate on, and they never expire."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from certs.homes.software_homes import FileHome
from certs.issuing.issuer import FailureKind, IssueFailed
from certs.keys.home import HomeFailed
from certs.storage.disk import Disk
from tests.certs.authority import DAY, NOW
from tests.certs.fake_token import FakeToken
from tests.certs.issuing.internal_ca.test_authority import Clock, authority, issued


def test_revoked_certificates_are_on_the_list_of_their_signer(tmp_path: Path) -> None:
    issuer = authority(tmp_path)
    leaf, intermediate = issued(issuer)
    issuer.revoke(leaf)
    issuer.revoke(leaf)
    (found,) = issuer.published_lists().values()
    assert [one.serial_number for one in found] == [leaf.serial_number]
    assert found.issuer == intermediate.subject


def test_what_no_list_has_is_not_revoked(tmp_path: Path) -> None:
    leaf = issued(authority(tmp_path / "former"))[0]
    clock = Clock()
    issuer = authority(tmp_path / "now", clock)
    with pytest.raises(IssueFailed, match="no key is here that signs the list of CN=Plexigate") as caught:
        issuer.revoke(leaf)
    assert caught.value.kind is FailureKind.PERMANENT
    clock.now = leaf.not_valid_after_utc
    issuer.revoke(leaf)  # no client takes it any more


URL = "http://ca.test/internal.crl"


def address_in(leaf: x509.Certificate) -> str:
    (point,) = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name is not None
    return str(point.full_name[0].value)


def test_a_list_is_there_before_a_certificate_names_it(tmp_path: Path) -> None:
    issuer = authority(tmp_path, crl_url=URL)
    leaf, intermediate = issued(issuer)
    found = issuer.published_lists()[address_in(leaf)]
    assert found.issuer == intermediate.subject
    assert list(found) == []
    assert not issuer.renew_lists(), "it is fresh"


def test_without_an_address_too_the_first_look_makes_it(tmp_path: Path) -> None:
    issuer = authority(tmp_path)
    assert not issuer.renew_lists(), "there is no intermediate"
    issued(issuer)
    assert issuer.renew_lists()
    assert list(issuer.published_lists()) == ["?1"]


def test_it_is_renewed_at_half_of_its_life_and_after_a_clock_that_was_ahead(tmp_path: Path) -> None:
    clock = Clock()
    issuer = authority(tmp_path, clock, crl_url=URL)
    leaf = issued(issuer)[0]
    issuer.revoke(leaf)
    clock.now = NOW + 3 * DAY
    assert not issuer.renew_lists()
    clock.now = NOW + 4 * DAY
    assert issuer.renew_lists()
    found = issuer.published_lists()[address_in(leaf)]
    assert found.next_update_utc == NOW + 11 * DAY
    assert [one.serial_number for one in found] == [leaf.serial_number]
    clock.now = NOW
    assert issuer.renew_lists()


def test_a_damaged_file_is_written_anew(tmp_path: Path) -> None:
    issuer = authority(tmp_path, crl_url=URL)
    issued(issuer)
    (issuer.directory / "crl.pem").write_bytes(b"-----BEGIN X509 CRL-----\nrubbish")
    assert issuer.published_lists() == {}
    assert issuer.renew_lists()
    assert len(issuer.published_lists()) == 1


def test_each_intermediate_has_its_own_until_it_ends(tmp_path: Path) -> None:
    clock = Clock()
    before, former = issued(authority(tmp_path, clock, crl_url=URL))
    clock.now = NOW + 250 * DAY
    issuer = authority(tmp_path, clock, crl_url=f"{URL}?x")
    after, current = issued(issuer)
    assert (address_in(before), address_in(after)) == (f"{URL}?1", f"{URL}?x&2")
    lists = issuer.published_lists()
    assert [one.issuer for one in lists.values()] == [current.subject, former.subject], "the newest first"
    clock.now = NOW + 366 * DAY
    assert [one.issuer for one in issuer.published_lists().values()] == [current.subject]


def test_a_key_that_is_away_hinders_no_other_list(tmp_path: Path) -> None:
    """A token that is gone keeps the list as it was."""
    clock = Clock()
    token = FakeToken()
    former = issued(authority(tmp_path, clock, token, key="ec-p256@plexi", crl_url=URL))[1]
    issuer = authority(tmp_path, clock, token, crl_url=URL)
    current = issued(issuer)[1]
    token.error = HomeFailed("plexi", "the token is gone")
    clock.now = NOW + 4 * DAY
    with pytest.raises(IssueFailed, match="the token is gone"):
        issuer.renew_lists()
    ends = {one.issuer: one.next_update_utc for one in issuer.published_lists().values()}
    assert ends == {current.subject: NOW + 11 * DAY, former.subject: NOW + 7 * DAY}
    with pytest.raises(IssueFailed, match="the token is gone"):
        issuer.revocation_list()


def test_a_token_of_a_former_intermediate_hinders_neither_certificates_nor_revocations(tmp_path: Path) -> None:
    clock = Clock()
    token = FakeToken()
    former = issued(authority(tmp_path, clock, token, key="ec-p256@plexi", crl_url=URL))[0]
    token.error = HomeFailed("plexi", "the token is gone")
    for day in (0, 4, 8, 200):
        clock.now = NOW + day * DAY
        issuer = authority(tmp_path, clock, token, crl_url=URL)
        leaf = issued(issuer)[0]
        issuer.revoke(leaf)
        found = issuer.published_lists()[address_in(leaf)]
        assert (found.last_update_utc, found.next_update_utc) == (clock.now, clock.now + 7 * DAY)
        assert leaf.serial_number in {one.serial_number for one in found}
    clock.now = NOW + DAY
    with pytest.raises(IssueFailed, match="the token is gone"):
        authority(tmp_path, clock, token, crl_url=URL).revoke(former)


def test_a_certificate_needs_a_list_of_its_own_that_is_current(tmp_path: Path) -> None:
    """The one before still does for a while."""
    clock = Clock()
    token = FakeToken()
    issuer = authority(tmp_path, clock, token, key="ec-p256@plexi", crl_url=URL)
    issued(issuer)
    token.error = HomeFailed("plexi", "the token is gone")
    token.answers = 1
    clock.now = NOW + 4 * DAY
    assert issued(issuer)
    token.answers = 1
    clock.now = NOW + 8 * DAY
    with pytest.raises(IssueFailed, match="the token is gone"):
        issued(issuer)


def test_the_list_of_a_place_that_the_configuration_lacks_is_asked_for_until_it_expires(tmp_path: Path) -> None:
    clock = Clock()
    former = issued(authority(tmp_path, clock, key="ec-p256@plexi", crl_url=URL))
    homes = {"file": FileHome()}
    issuer = authority(tmp_path, clock, homes=homes, crl_url=URL)
    current = issued(issuer)[1]
    clock.now = NOW + 4 * DAY
    for _ in range(2):
        with pytest.raises(IssueFailed, match="the configuration has no such place"):
            issuer.renew_lists()
    assert former[1].subject in {one.issuer for one in issuer.published_lists().values()}
    clock.now = NOW + 8 * DAY
    assert issuer.renew_lists()
    assert not issuer.renew_lists()
    assert {one.issuer for one in issuer.published_lists().values()} == {current.subject}
    assert issuer.revocation_list().count(b"BEGIN") == 1


def test_a_call_that_was_given_up_brings_no_older_list_back(tmp_path: Path) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    def step(name: str) -> None:
        if name == "sync crl.pem.new":
            hangs.set()
            go_on.wait(30)

    leaf = issued(authority(tmp_path, crl_url=URL))[0]
    clock = Clock()
    clock.now = NOW + 4 * DAY
    with ThreadPoolExecutor() as threads:
        given_up = threads.submit(authority(tmp_path, clock, disk=Disk(step), crl_url=URL).renew_lists)
        assert hangs.wait(30)
        issuer = authority(tmp_path, clock, crl_url=URL)
        for call in (lambda: issuer.revoke(leaf), issuer.renew_lists):
            with pytest.raises(IssueFailed, match="an earlier call still writes the revocation lists"):
                call()
        assert issued(issuer), "there is a list that is current"
        go_on.set()
        assert given_up.result()
    issuer.revoke(leaf)
    (shown,) = issuer.published_lists().values()
    assert [one.serial_number for one in shown] == [leaf.serial_number]
