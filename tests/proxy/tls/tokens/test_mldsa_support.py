"""Who lacks ML-DSA where a key of it is in a token."""

from pathlib import Path

from proxy.tls.openssl.libssl import modules_directory
from proxy.tls.tokens.mldsa_support import lack_of_provider, provider_file


def test_a_provider_says_by_its_content_what_it_knows(tmp_path: Path) -> None:
    file = tmp_path / "pkcs11.so"
    assert lack_of_provider(file) == f"OpenSSL's pkcs11-provider cannot be read: No such file or directory ({file})"
    file.write_bytes(b"\0RSA\0EC\0")
    assert lack_of_provider(file) == f"OpenSSL's pkcs11-provider has no ML-DSA ({file})"
    file.write_bytes(b"\0RSA\0EC\0ML-DSA-44:MLDSA44\0ML-DSA-65:MLDSA65\0")
    assert lack_of_provider(file) is None


def test_it_is_one_of_our_own_or_that_of_the_system() -> None:
    assert provider_file("/opt/pkcs11.so") == Path("/opt/pkcs11.so")
    assert provider_file(None) == modules_directory() / "pkcs11.so"
    assert "ML-DSA" in (lack_of_provider(provider_file(None)) or ""), "that of Debian 13, 1.0"
