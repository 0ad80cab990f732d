"""Credentials that were right a short while ago."""

from proxy.auth.basic import BasicCredentials
from proxy.auth.verified import VerifiedCredentials

ADA = BasicCredentials("ada", b"secret")


def test_right_credentials_are_remembered_for_five_minutes() -> None:
    memory = VerifiedCredentials(bytes(32))
    digest = memory.digest(ADA)
    assert not memory.has(digest, 0.0)
    memory.add(digest, 0.0)
    assert memory.has(digest, 299.9)
    assert not memory.has(digest, 300.0)
    assert not memory.has(digest, 0.0)  # it is forgotten


def test_other_credentials_and_other_keys_have_other_digests() -> None:
    memory = VerifiedCredentials(bytes(32))
    others = [("ada", b"Secret"), ("adas", b"ecret"), ("ada", b"secret ")]
    digests = {memory.digest(BasicCredentials(*one)) for one in others}
    assert len(digests) == 3
    assert memory.digest(ADA) not in digests
    assert memory.digest(ADA) != VerifiedCredentials(b"k" * 32).digest(ADA)


def test_the_oldest_give_way() -> None:
    memory = VerifiedCredentials(bytes(32))
    for number in range(257):
        memory.add(b"%d" % number, 0.0)
    assert not memory.has(b"0", 1.0)
    assert memory.has(b"1", 1.0)
    assert repr(memory) == "<VerifiedCredentials: 256>"
