"""The request to an authorization server about a request of a client. Pure.

It is a GET without a body, with the fields of the client's request (its cookies, its
Authorization). The fields X-Forwarded-Method and X-Forwarded-Uri say what the client wants. The
authorization servers of others (oauth2-proxy, Authelia, authentik) read these two.
"""

from typing import Final

from proxy.http.fields import FieldLine, Fields, Treatment, own_line
from proxy.http.forwarded_head import ForwardedPeer, upstream_fields, upstream_head
from proxy.http.forwarding import Chain
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.head import RequestHead

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
    """Write the question about a request to `path`; `peer` and `chain` as in `upstream_fields`."""
    told = (own_line((b"X-Forwarded-Method", head.method)), own_line((b"X-Forwarded-Uri", framing.target)))
    kept = [line for line in framing.fields.sent if _is_asked(line)]
    asked = RequestFraming(
        BodyKind.NONE,
        length=0,
        keep_alive=framing.keep_alive,
        expects_continue=False,
        accepts_trailers=False,
        websocket=None,
        host=framing.host,
        host_field=framing.host_field,
        target=path,
        fields=Fields([*kept, *told], framing.fields.special),
    )
    question = head.asking(b"GET", path)
    return upstream_head(question, asked, upstream_fields(question, asked, peer, chain), request_id)


def _is_asked(line: FieldLine) -> bool:
    left_out = _ABOUT_THE_TARGET if line.treatment is Treatment.CLAIM else _LEFT_OUT
    return line.header[0].lower() not in left_out
