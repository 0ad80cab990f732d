"""One challenge of a CA (tls-alpn-01, RFC 8737), as processes tell each other of it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TlsChallenge:
    """What the proxy shows for `name`, a DNS name or an IP address. Nothing in it is secret."""

    name: str
    digest: bytes
    """The SHA-256 of the key authorization."""
