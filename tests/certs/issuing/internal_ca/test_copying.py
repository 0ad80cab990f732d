"""One internal CA on several nodes: same root, same intermediates by number, same lists; keys as each node keeps them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from certs.homes.software_homes import FileHome, SealedHome
from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.internal_ca.copying import copied, install, stamp
from certs.issuing.issuer import IssueFailed
from certs.keys.home import HomeFailed, Homes
from certs.sealing.own_key import OwnKeySealer
from certs.storage.disk import Disk
from certs.storage.ledger import Retirement
from tests.certs.authority import NOW
from tests.certs.fake_token import FakeToken
from tests.certs.issuing.internal_ca.test_authority import Clock, authority, issued

URL = "http://ca.test/crl"


def homes(directory: Path) -> dict[str, Any]:
    return {"file": FileHome(), "sealed": SealedHome(OwnKeySealer(directory / "own.key", Disk()))}


def moved(one: InternalAuthority, to: InternalAuthority, of: Homes, there: Homes) -> None:
    """By way of a store."""
    install(json.loads(json.dumps(copied(one, of))), to, there, Disk())


def leaf_of(one: InternalAuthority) -> x509.Certificate:
    return issued(one)[0]


def test_another_node_signs_by_the_same_keys_and_publishes_the_same_lists(tmp_path: Path) -> None:
    files, sealed = homes(tmp_path / "1"), homes(tmp_path / "2")
    one = authority(tmp_path / "1", homes=files, crl_url=URL)
    two = authority(tmp_path / "2", homes=sealed, key="ec-p384@sealed", root="ec-p384@sealed", crl_url=URL)
    assert copied(one, files) is None
    revoked = leaf_of(one)
    one.revoke(revoked)
    before = stamp(one)
    moved(one, two, files, sealed)
    assert two.roots == one.roots
    assert two.published_lists() == one.published_lists()
    leaf = leaf_of(two)
    assert leaf.issuer == revoked.issuer
    leaf.verify_directly_issued_by(issued(one)[1])
    assert b"PRIVATE KEY" not in b"".join(path.read_bytes() for path in (tmp_path / "2").rglob("*/key"))
    assert stamp(one) == before
    # what it revokes, the first one takes
    two.revoke(leaf)
    moved(two, one, sealed, files)
    (revocations,) = one.published_lists().values()
    assert {entry.serial_number for entry in revocations} == {leaf.serial_number, revoked.serial_number}
    assert stamp(one) != before


def test_a_ca_that_a_node_had_before_stays_beside(tmp_path: Path) -> None:
    one, two = authority(tmp_path / "1"), authority(tmp_path / "2")
    both = {"file": FileHome()}
    _, (own,) = leaf_of(one), two.roots
    for _ in range(2):
        moved(one, two, both, both)
        assert two.roots == one.roots
    (root,) = (two.directory.parent / "internal.own1").glob("root/v*/chain.pem")
    assert x509.load_pem_x509_certificate(root.read_bytes()) == own


def test_keys_that_are_gone_on_one_node_go_on_the_other(tmp_path: Path) -> None:
    one, two = authority(tmp_path / "1"), authority(tmp_path / "2")
    both = {"file": FileHome()}
    leaf_of(one)
    moved(one, two, both, both)
    assert two.root_version().has_key
    one.forget_root_key()
    moved(one, two, both, both)
    assert not two.root_version().has_key


def test_an_intermediate_that_came_too_late_gives_way(tmp_path: Path) -> None:
    clock = Clock()
    one, two = authority(tmp_path / "1", clock), authority(tmp_path / "2", clock)
    both = {"file": FileHome()}
    leaf_of(one)
    moved(one, two, both, both)
    clock.now = NOW + timedelta(days=300)
    first, second = leaf_of(one), leaf_of(two)
    assert first.issuer != second.issuer or first.extensions != second.extensions
    moved(one, two, both, both)
    assert leaf_of(two).issuer == first.issuer
    assert [v.number for v in two.intermediate_shelf.versions()] == [2, 1]


def test_of_a_key_in_a_token_only_the_address_goes_along(tmp_path: Path) -> None:
    token = FakeToken()
    here: Homes = {"file": FileHome(), "plexi": token}
    there: Homes = {"file": FileHome(), "plexi": token}
    one = authority(tmp_path / "1", homes=here, key="ec-p384@plexi")
    leaf = leaf_of(one)
    shared = authority(tmp_path / "2", homes=there, key="ec-p384@plexi")
    moved(one, shared, here, there)
    assert leaf_of(shared).issuer == leaf.issuer, "a node with the same token signs"
    copy = copied(one, here)
    assert copy is not None
    (version,) = copy["intermediate"]["versions"]
    assert version["key"] is not None
    assert "PRIVATE" not in version["key"]
    other = authority(tmp_path / "3", homes={"file": FileHome(), "plexi": FakeToken()}, key="ec-p384@plexi")
    install(copy, other, {"file": FileHome(), "plexi": FakeToken()}, Disk())
    assert other.roots == one.roots
    with pytest.raises(HomeFailed, match="the configuration has no such place"):
        copied(one, {"file": FileHome()})


def test_only_the_leader_makes_keys_and_revokes(tmp_path: Path) -> None:
    both = {"file": FileHome()}
    one, two = authority(tmp_path / "1", crl_url=URL), authority(tmp_path / "2", crl_url=URL)
    asked: list[x509.Certificate] = []
    two.elsewhere = asked.append
    with pytest.raises(IssueFailed, match="only the node that leads the fleet makes keys of internal"):
        _ = two.roots
    leaf_of(one)
    moved(one, two, both, both)
    leaf = leaf_of(two)
    before = stamp(two)
    two.revoke(leaf)
    assert asked == [leaf]
    assert stamp(two) == before
    now = NOW + timedelta(days=300)
    number = two.intermediate_shelf.ledger().current
    assert number is not None
    two.intermediate_shelf.serve(number, Retirement(now, now, "again"))
    two.distrusted_until = number
    assert leaf_of(two).issuer == leaf.issuer, "the leader replaces it"


def test_an_intermediate_that_an_expelled_node_knew_is_replaced_by_the_leader(tmp_path: Path) -> None:
    one = authority(tmp_path)
    before = leaf_of(one)
    one.distrusted_until = 1
    after = leaf_of(one)
    assert after.issuer != before.issuer
    assert leaf_of(one).issuer == after.issuer
    assert one.intermediate_shelf.ledger().retired[1].why == "a node that was expelled knew its key"
