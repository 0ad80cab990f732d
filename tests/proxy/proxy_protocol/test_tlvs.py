"""TLVs are taken one behind the other, and none reaches beyond the header."""

import pytest

from proxy.proxy_protocol.header import HeaderFault, ProxyHeaderError
from proxy.proxy_protocol.tlvs import Tlv, split


def test_each_tlv_comes_with_the_place_of_its_value() -> None:
    data = b"head" + b"\x04\x00\x00" + b"\x05\x00\x02id"
    assert list(split(data, 4)) == [(4, 7, b""), (Tlv.UNIQUE_ID, 10, b"id")]


@pytest.mark.parametrize("data", [b"\x04", b"\x04\x00", b"\x04\x00\x01", b"\x04\xff\xffshort"])
def test_a_tlv_beyond_the_end_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError) as refused:
        list(split(data, 0))
    assert refused.value.fault is HeaderFault.TLV
