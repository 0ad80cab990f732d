"""What a refused header says of itself."""

import pytest

from proxy.proxy_protocol.header import HeaderFault, ProxyHeaderError


@pytest.mark.parametrize("fault", list(HeaderFault))
def test_each_fault_has_a_sentence(fault: HeaderFault) -> None:
    assert len(str(ProxyHeaderError(fault))) > 20


def test_the_sentence_names_what_was_found_and_what_is_allowed() -> None:
    error = ProxyHeaderError(HeaderFault.TOO_LONG, "20000 bytes", "at most 16384")
    assert str(error) == "the binary PROXY header is too long: 20000 bytes, allowed is at most 16384"
