"""Which names an authority may certify."""

import pytest
from cryptography import x509

from certs.issuing.internal_ca.names import is_permitted, name_constraints


@pytest.mark.parametrize(
    ("name", "permitted", "expected"),
    [
        ("anything.test", (), True),
        ("example.org", ("example.org",), True),
        ("chat.example.org", ("example.org",), True),
        ("*.example.org", ("*.example.org",), True),
        ("badexample.org", ("example.org",), False),
        ("org", ("example.org",), False),
        ("10.0.0.1", ("example.org",), False),
        ("10.0.0.1", ("10.0.0.1",), True),
        ("10.0.0.2", ("10.0.0.1", "example.org"), False),
    ],
)
def test_a_name_is_permitted_by_itself_or_by_what_it_is_below(
    name: str, permitted: tuple[str, ...], *, expected: bool
) -> None:
    assert is_permitted(name, permitted) is expected


def test_no_names_are_no_constraint() -> None:
    assert name_constraints(()) is None


def test_a_type_that_is_not_named_is_excluded() -> None:
    dns = name_constraints(("example.org", "*.example.org"))
    assert dns is not None
    assert dns.permitted_subtrees == [x509.DNSName("example.org")]
    assert dns.excluded_subtrees is not None
    assert len(dns.excluded_subtrees) == 2
    address = name_constraints(("10.0.0.1",))
    assert address is not None
    assert address.excluded_subtrees == [x509.DNSName("")]
    both = name_constraints(("10.0.0.1", "example.org"))
    assert both is not None
    assert both.excluded_subtrees is None
