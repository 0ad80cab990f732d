"""Whether OpenSSL can use ML-DSA keys that are in a token (PKCS#11 3.2).

Two have to know ML-DSA: the token, whose mechanisms say so, and OpenSSL's pkcs11-provider, which
says nothing before it has such a token. A provider that knows an algorithm has its name in the
file.
"""

from pathlib import Path

from proxy.tls.openssl.libssl import modules_directory

_NAME = b"ML-DSA-65"


def provider_file(own: str | None) -> Path:
    """The pkcs11-provider of this machine; `own` is one that was built by hand."""
    return modules_directory() / "pkcs11.so" if own is None else Path(own)


def lack_of_provider(file: Path) -> str | None:
    """What keeps a provider from using ML-DSA keys in tokens, as a clause; None if nothing does."""
    try:
        content = file.read_bytes()
    except OSError as error:
        return f"OpenSSL's pkcs11-provider cannot be read: {error.strerror} ({file})"
    return None if content.find(_NAME) >= 0 else f"OpenSSL's pkcs11-provider has no ML-DSA ({file})"
