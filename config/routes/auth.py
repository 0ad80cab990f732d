"""The shape of `auth`, `basic_auth` and `admin_page` of a route. Pure."""

import re
import warnings
from typing import Annotated

from pydantic import AfterValidator

from config.routes.fields import plain_name
from config.values.addresses import Refused
from config.values.durations import Seconds, time_field
from config.values.kinds import FilePath, Table, matching

# RFC 9110 section 5.6.2
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
# RFC 3986 section 3.3 and 3.4: a path, and perhaps a query, as they go into the request line
_TARGET = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")
_REALM = r"[A-Za-z0-9 ._@+()/,:-]{1,64}"
_REALM_ALLOWED = "up to 64 ASCII letters, digits, spaces and . _ @ + ( ) / , : -"

# What decides about the message itself, what the proxy says about the client, and what belongs to
# one connection. `auth` must not overwrite any of it.
_NEVER_COPIED = """
    host connection content-length transfer-encoding expect upgrade te trailer via keep-alive proxy
    proxy-connection proxy-authorization proxy-authenticate proxy-authentication-info http2-settings
    forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-forwarded-server
    x-forwarded-method x-forwarded-uri x-real-ip x-client-ip x-cluster-client-ip true-client-ip
    x-request-id x-tls-group client-cert client-cert-chain content-type content-encoding
    content-language date set-cookie
"""


def _parse_copied(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise Refused('the name of a field, such as "X-User"')
    plain = plain_name(value)
    if plain in _NEVER_COPIED.split() or plain.startswith("sec-websocket-"):
        raise Refused(
            "a field that the application alone reads: the proxy writes this one itself, or it frames the message"
        )
    return value


def _parse_target(value: str) -> str:
    path = value.partition("?")[0]
    if not _TARGET.fullmatch(value) or {".", ".."} & set(path.split("/")) or "//" in path:
        raise Refused(
            'a path that starts with "/", with a query if necessary, in ASCII, without empty, "." and ".." segments'
        )
    return value


with warnings.catch_warnings():
    # pydantic warns of a field that is called as a method that it has deprecated: BaseModel.copy
    warnings.filterwarnings("ignore", message='Field name "copy"', category=UserWarning)

    class AuthConfig(Table):
        """`auth` of a route: an authorization server decides about each request.

        `copy` are the fields of its answer that the application gets. `timeout` is the time that
        the answer may take.
        """

        upstream: str
        path: Annotated[str, AfterValidator(_parse_target)] = "/"
        copy: tuple[Annotated[str, AfterValidator(_parse_copied)], ...] = ()  # type: ignore[assignment]
        seconds: Seconds = time_field("timeout", 5.0, most=60.0)


class BasicAuthConfig(Table):
    """`basic_auth` of a route: a name and a password (RFC 7617), from a file of users."""

    file: FilePath
    realm: Annotated[str, matching(_REALM, _REALM_ALLOWED)] = "Plexigate"


class AdminPageConfig(Table):
    """`admin_page` of a route: the page of the admin server, which can be read and changes nothing.

    `tokens` is a file with a token in each line. None: the client certificate is enough.
    """

    tokens: FilePath | None = None
