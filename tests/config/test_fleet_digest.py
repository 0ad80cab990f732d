"""What two nodes of a fleet may have otherwise, and what makes them differ."""

import pytest

from config.fleet_digest import fleet_digest

TEXT = """
workers = 2
reload_timeout = 30
[listener.public]
bind = "192.0.2.1:443"
pq = "require"
[plain]
bind = ":80"
[identity.a]
names = ["a.test"]
key = ["pkcs11:token=one;object=a", "a.key"]
[rotation]
state = "one"
every = "30d"
[[route]]
host = "a.test"
upstream = "chat"
[hsm.token.one]
pin_file = "one.pin"
[fleet]
name = "edge-1"
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("workers = 2", "workers = 8 # cores"),
        ("192.0.2.1:443", "192.0.2.2:443"),
        ('bind = ":80"', 'bind = ":8080"'),
        ("edge-1", "edge-2"),
        ("token=one", "token=two"),
        ("one.pin", "two.pin"),
        ('state = "one"', 'state = "two"'),
        ('[plain]\nbind = ":80"\n', "[plain]\n"),
        ("[fleet]", '[log]\nfile = "a.log"\n[fleet]'),
        ('host = "a.test"\nupstream = "chat"', 'upstream = "chat"\n\n  host = "a.test"'),
    ],
)
def test_what_a_node_has_for_itself_makes_no_difference(old: str, new: str) -> None:
    assert old in TEXT
    assert fleet_digest(TEXT.replace(old, new).encode()) == fleet_digest(TEXT.encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("require", "prefer"),
        ("reload_timeout = 30", "reload_timeout = 31"),
        ("listener.public", "listener.other"),
        ("a.key", "b.key"),
        ("30d", "31d"),
        ('upstream = "chat"', 'upstream = "mail"'),
        ('["pkcs11:token=one;object=a", "a.key"]', '["a.key", "pkcs11:token=one;object=a"]'),
        ("[fleet]", "[limits]\nfrom = 2026-12-01\n[fleet]"),
    ],
)
def test_everything_else_does(old: str, new: str) -> None:
    assert old in TEXT
    assert fleet_digest(TEXT.replace(old, new).encode()) != fleet_digest(TEXT.encode())


def test_a_mark_of_the_byte_order_makes_no_difference() -> None:
    assert fleet_digest(b"\xef\xbb\xbf" + TEXT.encode()) == fleet_digest(TEXT.encode())
