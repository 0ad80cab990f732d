"""Which version of HTTP a client gets."""

import pytest

from config.schema import HttpProtocol
from proxy.tls.wire.protocols import ProtocolOffer

H2, H1 = HttpProtocol.HTTP_2, HttpProtocol.HTTP_1
BOTH, ONLY_H1, ONLY_H2 = (H2, H1), (H1,), (H2,)


@pytest.mark.parametrize(
    ("ours", "offered", "is_refused"),
    [
        (BOTH, (), False),
        (BOTH, (b"h2",), False),
        (BOTH, (b"http/1.1",), False),
        (BOTH, (b"h3", b"h2c", b"H2", b"h2\0", b"http/1.0"), True),
        (ONLY_H1, (), False),
        (ONLY_H1, (b"h2", b"http/1.1"), False),
        (ONLY_H1, (b"h2",), True),
        (ONLY_H2, (), True),
        (ONLY_H2, (b"http/1.1",), True),
        (ONLY_H2, (b"http/1.1", b"h2"), False),
    ],
)
def test_a_client_needs_a_protocol_of_ours(
    ours: tuple[HttpProtocol, ...],
    offered: tuple[bytes, ...],
    is_refused: bool,  # noqa: FBT001 - a parameter
) -> None:
    assert ProtocolOffer.of_http(ours).refuses(offered) is is_refused


@pytest.mark.parametrize(
    ("ours", "chosen", "spoken"),
    [
        (BOTH, "h2", H2),
        (BOTH, "http/1.1", H1),
        (BOTH, None, H1),
        (ONLY_H1, None, H1),
        (ONLY_H2, "h2", H2),
        (ONLY_H2, None, None),
        (ONLY_H1, "h2", None),
    ],
)
def test_what_openssl_chose_is_spoken_and_http_1_1_without_alpn(
    ours: tuple[HttpProtocol, ...], chosen: str | None, spoken: HttpProtocol | None
) -> None:
    assert ProtocolOffer.of_http(ours).spoken(chosen) is spoken


@pytest.mark.parametrize("ours", [BOTH, ONLY_H1, ONLY_H2])
def test_it_has_what_it_was_made_of(ours: tuple[HttpProtocol, ...]) -> None:
    assert [one for one in BOTH if ProtocolOffer.of_http(ours).has(one)] == list(ours)
