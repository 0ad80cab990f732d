"""The checksum against the published examples of RFC 3720 appendix B.4."""

import pytest

from proxy.proxy_protocol.crc32c import crc32c


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
    ids=["nothing", "digits", "zeros", "ones", "counting"],
)
def test_published_values(data: bytes, value: int) -> None:
    assert crc32c(data) == value
