"""By which name a proxy is known on the way of a request."""

import pytest

from proxy.http.head import ResponseHead
from proxy.http.via import NAMELESS, OwnVia, via

OWN = OwnVia(b"0123456789abcdef")


@pytest.mark.parametrize(("minor", "major", "version"), [(0, 1, b"1.0"), (1, 1, b"1.1"), (1, 2, b"2.0")])
def test_each_message_is_passed_on_with_the_version_in_which_it_came(minor: int, major: int, version: bytes) -> None:
    for own, name in ((OWN, b"plexigate-0123456789abcdef"), (NAMELESS, b"plexigate")):
        line = own.lines[minor] if major == 1 else own.line_of_http_2
        assert line == b"Via: %b %b\r\n" % (version, name)
    assert via(ResponseHead(200, b"OK", minor, [], major)) == b"%b plexigate" % version


@pytest.mark.parametrize(
    ("values", "knows"),
    [
        ([b"1.1 plexigate-0123456789abcdef"], True),
        ([b"1.0 fred", b"1.1 cdn (Edge, 2), 2.0 plexigate-0123456789abcdef, 1.1 other"], True),
        ([b"1.1 plexigate-fedcba9876543210, 1.1 plexigate"], False),
        ([b""], False),
    ],
)
def test_proxy_knows_a_request_again_and_no_other_proxy_does(values: list[bytes], *, knows: bool) -> None:
    assert OWN.is_in(values) is knows
    assert not NAMELESS.is_in(values)
