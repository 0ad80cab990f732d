"""The request to an authorization server about a request of a client. Pure.

It is a GET without a body, with the fields of the client's request (its cookies, its
Authorization). The fields X-Forwarded-Method and X-Forwarded-Uri say what the client wants. The
authorization servers of others (oauth2-proxy, Authelia, authentik) read these two.
"""

from typing import Final

from proxy.http.fields import Fields
from proxy.http.forwarded_head import ForwardedPeer, upstream_fields, upstream_head
from proxy.http.forwarding import Chain
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.head import Header, RequestHead

# They say what the client wants. Those of the client never pass: the question has its own, and some
# authorization servers prefer the last ones.
_ABOUT_THE_TARGET: Final = frozenset(
    b"x-forwarded-method x-forwarded-uri x-forwarded-host"
    b" x-original-url x-original-uri x-original-method x-original-host x-rewrite-url".split()
)
# They ask about the resource. A 304 or a 206 of the authorization server would be no verdict.
_CONDITIONS: Final = frozenset(b"if-match if-none-match if-modified-since if-unmodified-since if-range range".split())
# They describe a body that is not sent.
_ABOUT_THE_BODY: Final = frozenset(b"content-type content-encoding content-language content-disposition".split())
_LEFT_OUT: Final = _CONDITIONS | _ABOUT_THE_BODY


def subrequest(
    head: RequestHead,
    framing: RequestFraming,
    peer: ForwardedPeer,
    chain: Chain | None,
    path: bytes,
    request_id: bytes,
) -> bytes:
    """Write the question about a request. `path` is the target at the authorization server.

    `peer` and `chain` are those of `upstream_fields`.
    """
    fields = framing.fields
    told: list[Header] = [(b"X-Forwarded-Method", head.method), (b"X-Forwarded-Uri", framing.target)]
    asked = framing._replace(
        body=BodyKind.NONE,
        length=0,
        expects_continue=False,
        accepts_trailers=False,
        websocket=None,
        target=path,
        fields=Fields(
            [*(header for header in fields.forwarded if header[0].lower() not in _LEFT_OUT), *told],
            [header for header in fields.claims if header[0].lower() not in _ABOUT_THE_TARGET],
            fields.special,
        ),
    )
    question = head._replace(method=b"GET")
    return upstream_head(question, asked, upstream_fields(question, asked, peer, chain), request_id)
