"""Certificates for our names, as logs have them."""

import json
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.transparency.sightings import (
    MOST_NAMES,
    MOST_SIGHTINGS,
    OurNames,
    Sighting,
    WatchMemory,
    decode_memory,
    key_digest,
    sighting,
)
from tests.certs.authority import DAY, NOW
from tests.transparency_logs import logged

OURS = OurNames(["chat.test", "*.files.test", "192.0.2.1"])
LATER = (NOW + DAY).timestamp()


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("chat.test", True),
        ("*.test", True),
        ("a.files.test", True),
        ("*.files.test", True),
        ("192.0.2.1", True),
        ("a.chat.test", False),
        ("*.chat.test", False),
        ("a.b.files.test", False),
        ("files.test", False),
        ("evilchat.test", False),
    ],
)
def test_what_a_client_would_take_for_ours(name: str, is_ours: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert OURS.among([name]) == ((name,) if is_ours else ())


def test_a_certificate_for_a_name_of_ours_is_seen() -> None:
    leaf, _ = logged([])
    found = sighting(leaf.public_bytes(Encoding.DER), OURS, "log", NOW)
    end = (NOW + 89 * DAY).timestamp()
    serial = f"{leaf.serial_number:x}"
    assert found == Sighting("log", ("chat.test",), "CN=CA", serial, key_digest(leaf), end, NOW.timestamp())
    assert sighting(logged([], "other.test")[0].public_bytes(Encoding.DER), OURS, "log", NOW) is None
    assert sighting(b"rubbish", OURS, "log", NOW) is None


def test_of_many_names_the_first_are_told() -> None:
    names = [f"{number}.files.test" for number in range(3 * MOST_NAMES)]
    found = sighting(logged([], " ".join(names))[0].public_bytes(Encoding.DER), OURS, "log", NOW)
    assert found is not None
    assert list(found.names) == names[:MOST_NAMES]


def test_a_certificate_that_no_client_reads_is_none_and_does_no_harm() -> None:
    """Anybody who gets a certificate puts it into a log."""
    der = logged([])[0].public_bytes(Encoding.DER)
    assert sighting(der, OURS, "log", NOW) is not None
    version = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"), 1)
    assert sighting(version, OURS, "log", NOW) is None
    issuer = der.replace(b"\x0c\x02CA", b"\x0c\x02\xff\xff")
    assert issuer != der
    assert sighting(issuer, OURS, "log", NOW) is None


def test_a_damaged_extension_hides_nothing() -> None:
    """A browser overlooks more of them than we do, such as a name of a kind that we do not read."""
    points = x509.UnrecognizedExtension(x509.CRLDistributionPoints.oid, b"rubbish")
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.4"), b"\x05\x00")
    twice = logged([], extensions=[strange, other])[0].public_bytes(Encoding.DER)
    twice = twice.replace(bytes.fromhex("06022a04"), bytes.fromhex("06022a03"))
    damaged = logged([], "Chat.test a.b", extensions=[points])[0].public_bytes(Encoding.DER)
    two = logged([], "chat.test a.b")[0].public_bytes(Encoding.DER)
    kind = two.replace(b"\x82\x03a.b", b"\xa3\x03a.b")  # an X.400 address
    assert kind != two
    for der in (twice, damaged, kind):
        found = sighting(der, OURS, "log", NOW)
        assert found is not None
        assert found.names == ("chat.test",)
    wild = logged([], "*.test", extensions=[points])[0].public_bytes(Encoding.DER)
    seen_wild = sighting(wild, OURS, "log", NOW)
    assert seen_wild is not None
    assert seen_wild.names == ("*.test",)
    others = logged([], "other.org", extensions=[points])[0].public_bytes(Encoding.DER)
    assert sighting(others, OurNames(["localhost", "chat.test"]), "log", NOW) is None


def test_a_key_of_an_unknown_kind_is_nobodys() -> None:
    leaf, _ = logged([])
    der = leaf.public_bytes(Encoding.DER)
    curve = bytes.fromhex("06082a8648ce3d030107")  # of P-256
    strange = der.replace(curve, bytes.fromhex("06082a8648ce3d030109"), 1)
    found = sighting(strange, OURS, "log", NOW)
    assert found is not None
    assert found.key == ""


def seen(serial: str, ends: float = LATER, at: float = 0.0) -> Sighting:
    return Sighting("log", ("chat.test",), "CN=CA", serial, "00", ends, at)


def test_a_memory_has_each_certificate_once_and_no_expired_ones() -> None:
    memory = WatchMemory({"other": 3}, (seen("1"), seen("2", NOW.timestamp())))
    more = memory.with_more("log", 7, [seen("1", at=1.0), seen("3")], NOW)
    assert more.found[0].seen_at == 0.0
    assert (more.read, [one.serial for one in more.found]) == ({"other": 3, "log": 7}, ["1", "3"])
    several = [seen(f"{number:x}") for number in range(2 * MOST_SIGHTINGS)]
    many = more.with_more("log", 8, several, NOW)
    assert len(many.found) == MOST_SIGHTINGS


def test_what_is_ours_leaves_a_memory() -> None:
    memory = WatchMemory({"log": 3}, (seen("1"), replace(seen("2"), key="11")))
    assert memory.without({"00"}) == WatchMemory({"log": 3}, memory.found[1:])


def test_it_reads_what_it_writes_and_nothing_else() -> None:
    memory = WatchMemory({"log": 3}, (seen("1"),))
    assert decode_memory(memory.encode()) == memory
    surplus = json.loads(memory.encode())
    surplus["found"][0]["more"] = 1
    for content in (b"", b"[]", b'{"read": {}}', json.dumps(surplus).encode(), b"[" * 200_000):
        with pytest.raises(ValueError, match="not a memory of logs that Plexigate wrote"):
            decode_memory(content)
