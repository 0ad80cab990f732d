"""A certificate chain, read from a PEM file."""

from pathlib import Path

from cryptography import x509

from certs.files.errors import Part
from certs.files.pem import NotPem, read_pem
from certs.identities.chain import Chain


def read_chain(path: Path) -> Chain:
    """Read the certificates of a PEM file in their order; raises `FileUnreadable` or `NotPem`,
    never answers an empty chain.
    """
    file = read_pem(path, Part.CERTIFICATE)
    if "CERTIFICATE" not in file.labels:
        raise NotPem(path, Part.CERTIFICATE, f"no certificate but {', '.join(dict.fromkeys(file.labels))}")
    try:
        return tuple(x509.load_pem_x509_certificates(file.content))
    except ValueError:
        raise NotPem(path, Part.CERTIFICATE, "a damaged certificate") from None
