"""The shape of issuers of type "acme". Pure."""

import re
from enum import StrEnum
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from config.tables.rotation import InternalIssuerConfig
from config.values.addresses import Refused
from config.values.durations import Seconds, time_field
from config.values.kinds import TAG_PREFIX, Name, OwnFilePath, Table, matching

_ADDRESS: Final = r"[^\s@,:?&%\"<>\x80-\U0010ffff]+@[^\s@,:?&%\"<>\x80-\U0010ffff]+"  # in ASCII
_WORD: Final = r"[\x21-\x7e]{1,512}"


class AcmeChallenge(StrEnum):
    """How a CA finds out that a name is ours (RFC 8555 section 8, RFC 8737)."""

    TLS_ALPN_01 = "tls-alpn-01"
    """By a certificate in a handshake on port 443 (RFC 8737): every listener of ours answers it."""
    HTTP_01 = "http-01"
    """By a file on port 80 (RFC 8555 section 8.3)."""
    DNS_01 = "dns-01"
    """By a TXT record (RFC 8555 section 8.4): the only one for wildcards."""


def _parse_directory(value: str) -> str:
    try:
        url = urlsplit(value)
        is_usable = url.scheme == "https" and bool(url.hostname) and url.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or "@" in value or "#" in value or not re.fullmatch(_WORD, value):
        raise Refused("the https:// address of an ACME directory, without user, password and fragment")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Word = Annotated[str, matching(_WORD, "a word in ASCII without white space")]
_Contact = Annotated[str, matching(_ADDRESS, 'a mail address such as "ops@example.org"')]


class AcmeIssuerConfig(Table):
    """`[issuer.NAME]` with `type = "acme"`: a CA with a directory (RFC 8555).

    `contact` are mail addresses for the account. `eab_kid` and `eab_key_file` (base64url, as the CA
    gives it out) bind it to an account that the CA knows (RFC 8555 section 7.3.4). `profile` is one
    of the CA's. `hook` is the command of dns-01, run without a shell and ended after
    `hook_timeout`. `ca_file`: what is trusted for the directory's own TLS; `root_file`: what the
    issued chains end in; both None: what the system trusts. `fallback` are other issuers of this
    type, asked in this order when this one gives no certificate.
    """

    type: Literal["acme"]
    directory: Annotated[str, AfterValidator(_parse_directory)]
    contact: Annotated[tuple[_Contact, ...], BeforeValidator(_listed)] = ()
    eab_kid: Word | None = None
    eab_key_file: OwnFilePath | None = None
    profile: Word | None = None
    challenge: AcmeChallenge = AcmeChallenge.TLS_ALPN_01
    hook: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    hook_seconds: Seconds = time_field("hook_timeout", 120.0, least=1.0, most=3_600.0)
    ca_file: OwnFilePath | None = None
    root_file: OwnFilePath | None = None
    fallback: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if (self.eab_kid is None) != (self.eab_key_file is None):
            found = "eab_key_file alone" if self.eab_kid is None else "eab_kid alone"
            about = ("eab_kid", "eab_key_file")
            raise Refused('both "eab_kid" and "eab_key_file", or none of them', found=found, about=about)
        if self.challenge is AcmeChallenge.DNS_01 and not self.hook:
            raise Refused('a "hook" for dns-01: the command that sets TXT records', found="none", about=("hook",))
        if self.challenge is not AcmeChallenge.DNS_01 and self.hook:
            allowed = 'no "hook", or challenge = "dns-01", which is what it is for'
            raise Refused(allowed, found="a hook", about=("hook", "challenge"))
        return self


_INTERNAL = f"{TAG_PREFIX}internal"
_ACME = f"{TAG_PREFIX}acme"


def _kind_of_issuer(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return _ACME if kind == "acme" else _INTERNAL


AnyIssuerConfig = Annotated[
    Annotated[InternalIssuerConfig, Tag(_INTERNAL)] | Annotated[AcmeIssuerConfig, Tag(_ACME)],
    Discriminator(_kind_of_issuer),
]
