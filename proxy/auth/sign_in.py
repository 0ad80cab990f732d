"""The form in which a browser shows a token of the admin page, and what it gets for it. Pure.

A form needs no script, and a password manager can fill it in. The token is in the body: URLs end up
in logs and in the history of the browser.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qs, urlsplit

from proxy.auth.page_tokens import COOKIE, NONCE_BYTES, session_of
from proxy.auth.rules import TokenRule
from proxy.http.head import Header
from proxy.http.local_answers import LocalAnswer, LocalRequest, WrongMethod

SIGN_IN_PATH: Final = "/sign-in"
BODY_BYTES: Final = 2_048
"""The longest token is 256 octets, three times as long when it is percent-encoded."""
CHALLENGE: Final = b'WWW-Authenticate: Bearer realm="Plexigate admin page"\r\n'
"""RFC 6750 section 3. Browsers do not ask their users about this scheme."""

_STYLE: Final = (
    ":root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}"
    "body{max-width:26rem;margin:15vh auto;padding:0 1rem}"
    "label,input,button{display:block;font:inherit}"
    "input{box-sizing:border-box;width:100%;padding:.5rem;margin:.25rem 0 1rem}"
    "button{padding:.5rem 1.5rem}"
)
_STYLE_DIGEST: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_BEGINNING: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Plexigate: sign in</title>'
    '<meta name="viewport" content="width=device-width,initial-scale=1">'
    f"<style>{_STYLE}</style></head><body><main><h1>Plexigate</h1>"
)
_END: Final = (
    f'<form method="post" action="{SIGN_IN_PATH}"><label for="token">Token</label>'
    '<input id="token" name="token" type="password" required autofocus autocomplete="current-password"'
    ' maxlength="256"><button>Sign in</button></form></main></body></html>'
)
FORM: Final = f"{_BEGINNING}<p>The admin page asks for a token of its file.</p>{_END}".encode()
WRONG_FORM: Final = f'{_BEGINNING}<p role="alert">This token is wrong.</p>{_END}'.encode()
FORM_FIELDS: Final = (
    b"Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
    b"Content-Security-Policy: default-src 'none'; style-src 'sha256-%b'; form-action 'self';"
    b" frame-ancestors 'none'; base-uri 'none'\r\n"
    b"X-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n" % _STYLE_DIGEST.encode()
)
_FORM_TYPE: Final = b"application/x-www-form-urlencoded"
_SET_COOKIE: Final = b"Set-Cookie: %b=%b; Path=/; Secure; HttpOnly; SameSite=Strict\r\n"


class WrongToken(Exception):
    """The form came back with a wrong token: it is counted, and the form is shown again."""

    def __init__(self, rule: TokenRule) -> None:
        super().__init__(rule)
        self.rule = rule


class SignInForm:
    """What `SIGN_IN_PATH` answers."""

    def __init__(self, rule: TokenRule, random: Callable[[int], bytes]) -> None:
        """`random` gives a number of random octets."""
        self._rule: Final = rule
        self._random: Final = random

    def answer(self, request: LocalRequest, now: float) -> LocalAnswer:
        """Answer a request. Raises `WrongMethod` or `WrongToken`."""
        if request.method in {b"GET", b"HEAD"}:
            return LocalAnswer(200, FORM, FORM_FIELDS)
        if request.method != b"POST":
            raise WrongMethod(b"GET, HEAD, POST")
        if not _is_own_form(request):
            return LocalAnswer(403, b"This form is not of this page.\n", b"Content-Type: text/plain\r\n")
        token = _token(request.body)
        if not self._rule.tokens.knows(token):
            raise WrongToken(self._rule)
        session = session_of(token, self._random(NONCE_BYTES), now)
        fields = b"Location: /\r\nCache-Control: no-store\r\n" + _SET_COOKIE % (COOKIE, session)
        return LocalAnswer(303, b"", fields)


def is_cross_site(headers: Iterable[Header]) -> bool:
    """Whether a browser says that another site or subdomain made the request (Fetch Metadata)."""
    return any(value not in {b"same-origin", b"none"} for name, value in headers if name.lower() == b"sec-fetch-site")


def _is_own_form(request: LocalRequest) -> bool:
    """Whether the form was sent by a page of this host: browsers say so in Origin of each POST."""
    origins = [value for name, value in request.headers if name.lower() == b"origin"]
    types = [value for name, value in request.headers if name.lower() == b"content-type"]
    if len(origins) != 1 or len(types) != 1 or is_cross_site(request.headers):
        return False
    if types[0].partition(b";")[0].strip().lower() != _FORM_TYPE:
        return False
    try:
        origin = urlsplit(origins[0].decode("ascii"))
    except ValueError:
        return False
    return origin.scheme == "https" and origin.hostname == request.host.decode("ascii")


def _token(body: bytes) -> bytes:
    try:
        values = parse_qs(body.decode("ascii"), max_num_fields=4).get("token", [])
    except ValueError:
        return b""
    return values[0].strip().encode() if len(values) == 1 else b""
