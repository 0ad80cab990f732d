"""Each code of HTTP/2 has one of HTTP/3."""

from proxy.downstream.http3.codes import http3_code


def test_every_code_has_one_of_http_3() -> None:
    assert {http3_code(code) for code in range(64)} <= {0x100, 0x101, 0x102, 0x107, 0x10B, 0x10C, 0x10E, 0x10F, 0x110}
