"""What a route demands and changes cannot be passed by spelling: paths, methods, conditions, rewritten paths, values of fields."""

import pytest

from tests.hostile import http2_frames as h2
from tests.hostile.answers import SWITCHING, Answer
from tests.hostile.client import Cut
from tests.hostile.scene import CUTS, Scene, cases, request
from tests.hostile.strict import Message

HOST = "routes.chat.test"
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def ask(scene: Scene, raw: bytes, listener: str = "public", method: str = "GET") -> Message:
    """The answer to one request, and peace after it."""
    with scene.connect(listener=listener) as client:
        client.send(raw)
        response = client.read_response(method)
    scene.settle()
    return response


def over_http2(scene: Scene, path: str, *more: tuple[bytes, bytes], method: str = "GET") -> tuple[int, dict[str, str]]:
    """Status and fields of the answer to a request of HTTP/2."""
    pairs = h2.fields(path.encode("latin-1"), *more, method=method.encode(), authority=HOST.encode())
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.frame(h2.HEADERS, h2.block(pairs), h2.WHOLE, 1))
        stream = client.answer(1)
        found = stream.status, stream.heads[-1] if stream.heads else {}
    scene.settle()
    return found


ADMIN = [
    "/admin",
    "/admin/",
    "/admin/x",
    "/admin?x",
    "/%61dmin",
    "/%2561dmin",
    "/admin%2Fx",
    "/admin%252Fx",
    "/admin;x",
    "/admin;x/y",
    "/admin%3Bx",
    "/admin%5Cx",
    "/admin%3Fx",
    "/admin%23x",
    "//admin",
    "///admin/x",
    "/x//../admin",
    "/./admin",
    "/x/../admin",
    "/x/%2e%2e/admin",
    "/x/%252e%252e/admin",
    "/x/..%2Fadmin",
    "/x%2F..%2Fadmin",
    "/x/..;/admin",
    "/x/.%2e;a/admin",
    "//evil.test/admin",
    "/%2Fadmin",
    "/%5Cadmin",
    "/admin%00",
    "/admin\\x",
    "/admin%0d%0aX: y",
    "https://routes.chat.test/admin",
    "https://routes.chat.test/%61dmin",
]


@pytest.mark.parametrize("path", ADMIN)
def test_no_spelling_of_a_closed_path_reaches_a_server(scene: Scene, path: str) -> None:
    assert ask(scene, request("GET", path, host=HOST)).status in {400, 403}
    assert scene.begun == []


@pytest.mark.parametrize("path", [path for path in ADMIN if path.startswith("/")])
def test_nor_does_one_over_http2(scene: Scene, path: str) -> None:
    assert over_http2(scene, path)[0] in {0, 400, 403}  # 0: the stream was reset
    assert scene.begun == []


CLAIMS = {
    "x_forwarded_for": "X-Forwarded-For: 192.0.2.1",
    "forwarded": "Forwarded: for=192.0.2.1",
    "real_ip": "X-Real-IP: 192.0.2.1",
    "client_ip": "X-Client-IP: 192.0.2.1",
    "true_client_ip": "True-Client-IP: 192.0.2.1",
    "twin": "X_Forwarded_For: 192.0.2.1",
}


@CUTS
@cases(CLAIMS)
def test_stranger_cannot_claim_a_network(scene: Scene, case: str, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(request("GET", "/admin", case, host=HOST), cut)
        assert client.read_response().status == 403
    scene.settle()
    assert scene.begun == []


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("192.0.2.1", 200),
        ("192.0.2.1, 198.51.100.1", 403),
        ("198.51.100.1, 192.0.2.1", 200),
        ("unknown", 403),
        ("192.0.2.1 ", 200),
        ("192.0.2.1%0d", 403),
        ("192.0.2.1,", 403),
        ("0300.0.2.1", 403),
        ("3221225985", 403),
    ],
)
def test_trusted_peer_names_the_client_clearly_or_not_at_all(scene: Scene, value: str, status: int) -> None:
    response = ask(scene, request("GET", "/admin", f"X-Forwarded-For: {value}", host=HOST), "trusting")
    assert response.status == status
    assert scene.begun == (["/admin"] if status == 200 else [])


def test_opening_of_a_websocket_is_judged_too(scene: Scene) -> None:
    assert ask(scene, request("GET", "/admin", *UPGRADE, host=HOST)).status == 403
    pairs = [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        *h2.fields(b"/admin", (b"sec-websocket-version", b"13"), authority=HOST.encode())[1:],
    ]
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.frame(h2.HEADERS, h2.block(pairs), h2.END_HEADERS, 1))
        assert client.answer(1).status == 403
    scene.settle()
    assert scene.begun == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
@pytest.mark.parametrize(
    "line", ["Accept: */*", "X-HTTP-Method-Override: POST", "X-HTTP-Method: POST", "X-Method-Override: POST"]
)
def test_another_method_is_refused_with_those_that_are_taken(scene: Scene, method: str, line: str) -> None:
    response = ask(scene, request(method, "/post", line, host=HOST), method=method)
    assert (response.status, response.values("Allow")) == (405, ["POST"])
    assert scene.begun == []
    assert over_http2(scene, "/post", method=method)[0] == 405


@pytest.mark.parametrize("method", ["post", "Post", "POST\t", "CONNECT", "TRACE", "BREW"])
def test_no_spelling_of_a_method_passes(scene: Scene, method: str) -> None:
    scene.refused(request(method, "/post", host=HOST), 400, 501)


CONDITIONS = {
    "two_values": ("/v", ("X-Version: 1", "X-Version: 2")),
    "two_values_turned": ("/v", ("X-Version: 2", "X-Version: 1")),
    "list": ("/v", ("X-Version: 1, 2",)),
    "list_with_empty": ("/v", ("X-Version: ,2",)),
    "underscore": ("/v", ("X_Version: 2",)),
    "dot": ("/v", ("X.Version: 2",)),
    "two_parameters": ("/v?admin=0&admin=1", ()),
    "two_parameters_turned": ("/v?admin=1&admin=0", ()),
    "encoded_name": ("/v?%61dmin=1", ()),
    "encoded_twice": ("/v?%2561dmin=1", ()),
    "encoded_value": ("/v?admin=%31", ()),
    "case": ("/v?ADMIN=1", ()),
    "array": ("/v?admin[]=1", ()),
    "array_encoded": ("/v?admin%5B%5D=1", ()),
    "semicolon": ("/v?a=b;admin=1", ()),
    "space": ("/v?+admin=1", ()),
    "nul": ("/v?admin%00=1", ()),
    "value_with_nul": ("/v?admin=1%00", ()),
}


@CUTS
@cases(CONDITIONS)
def test_condition_that_some_server_would_see_is_not_passed_by(
    scene: Scene, case: tuple[str, tuple[str, ...]], cut: Cut
) -> None:
    path, lines = case
    with scene.connect() as client:
        client.send(request("GET", path, *lines, host=HOST), cut)
        assert client.read_response().status == 400
    scene.settle()
    assert scene.begun == []


@pytest.mark.parametrize(
    ("path", "lines"), [("/v", ("X-Version: 2",)), ("/v?admin=1", ()), ("/v?x&admin=1", ("x-version:2",))]
)
def test_condition_that_holds_leads_to_the_stricter_route(scene: Scene, path: str, lines: tuple[str, ...]) -> None:
    assert ask(scene, request("GET", path, *lines, host=HOST)).status == 403
    assert scene.begun == []


def test_field_of_a_condition_cannot_be_named_away(scene: Scene) -> None:
    """A balancer in front may have written it, to keep untrusted clients out of the wider route."""
    assert ask(scene, request("GET", "/v", "X-Version: 2", "Connection: X-Version", host=HOST)).status == 400
    assert scene.begun == []


def test_repeated_requests_are_judged_by_themselves(scene: Scene) -> None:
    """A connection remembers the last section, and the last head."""
    plain, closed = request("GET", "/v", host=HOST), request("GET", "/v?admin=1", host=HOST)
    with scene.connect() as client:
        statuses = []
        for raw in (plain, plain, closed, closed, plain, request("GET", "/admin", host=HOST), plain):
            client.send(raw)
            statuses.append(client.read_response().status)
    assert statuses == [200, 200, 403, 403, 200, 403, 200]
    scene.settle()
    assert scene.targets == ["/v"] * 4


REWRITTEN = [
    ("/api", "/in"),
    ("/api/", "/in/"),
    ("/api/a%2Fb?c=/api", "/in/a%2Fb?c=/api"),
    ("/api//a", "/in//a"),
    ("/bare", "/"),
    ("/bare/x;y", "/x;y"),
    ("/u/bob/files/", "/files/bob/"),
    ("/u/b%20b/files/x%2Fy?z", "/files/b%20b/x%2Fy?z"),
]


@pytest.mark.parametrize(("path", "sent"), REWRITTEN)
def test_path_is_changed_as_the_route_says(scene: Scene, path: str, sent: str) -> None:
    assert ask(scene, request("GET", path, host=HOST)).status == 200
    assert over_http2(scene, path)[0] == 200
    assert scene.targets == [sent, sent]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/bare//evil.test/", 400),
        ("/bare/%2Fevil.test", 400),
        ("/bare/%252Fevil.test", 400),
        ("/bare/%5Cevil.test", 400),
        ("/b%61re/x", 400),
        ("/api/../x", 400),
        ("/api/%2e%2e/x", 400),
        ("/api/%252e%252e/x", 400),
        ("/api/..%2Fx", 400),
        ("/api/..;/x", 400),
        ("/api/%0d%0aX:%20y", 200),
        ("/api/\r\nX: y", 400),
        ("/u/bob", 404),
        ("/u/bob/other/x", 404),
        ("/u//files/x", 404),
        ("/u/a%2Fb/files/x", 400),
        ("/u/a%252Fb/files/x", 400),
        ("/u/a;b/files/x", 400),
        ("/u/%2e%2e/files/x", 400),
        ("/u/%252e%252e/files/x", 400),
        ("/u/bob/files/%252e%252e/x", 400),
    ],
)
def test_path_that_would_lead_elsewhere_is_refused(scene: Scene, path: str, status: int) -> None:
    assert ask(scene, request("GET", path, host=HOST)).status == status
    assert all(target.startswith("/in/") for target in scene.begun)
    assert len(scene.begun) == (status == 200)


def test_fields_are_those_of_the_route_in_both_directions(scene: Scene) -> None:
    answer = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nX-Backend: a\r\nX-Tag: {client}\r\nLocation: /in/y\r\nReferrer-Policy: origin\r\n\r\n"
    scene.recorder.answer_next(Answer(answer))
    response = ask(scene, request("GET", "/api/x", "X-Client: forged", "X-Debug: 1", "x-client: two", host=HOST))
    assert (response.status, response.values("Location")) == (302, ["/api/y"])
    assert response.values("X-Tag") == [f"{HOST} 127.0.0.1"]
    assert response.values("X-Backend") == []
    assert response.values("Referrer-Policy") == ["origin"]
    assert response.values("X-Content-Type-Options") == ["nosniff"]
    assert response.values("Strict-Transport-Security") == [], "the certificate is not a public one"
    (seen,) = scene.recorder.complete
    assert seen.message.values("X-Client") == ["127.0.0.1"]
    assert seen.message.values("X-Debug") == []


def test_errors_have_the_fields_of_the_route_too(scene: Scene) -> None:
    scene.recorder.answer_next(Answer(b"nonsense\r\n\r\n"))
    response = ask(scene, request("GET", "/api/x", host=HOST))
    assert (response.status, response.values("X-Tag")) == (502, [f"{HOST} 127.0.0.1"])
    assert response.values("Cache-Control") == ["no-store"]
    assert response.values("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize("status", [200, 204, 304, 404, 500])
def test_head_and_bodiless_answers_have_them_and_stay_framed(scene: Scene, status: int) -> None:
    scene.recorder.answer_next(
        Answer(b"HTTP/1.1 %d X\r\n%b\r\n" % (status, b"" if status in {204, 304} else b"Content-Length: 5\r\n"))
    )
    response = ask(scene, request("HEAD", "/api/x", host=HOST), method="HEAD")
    assert (response.status, response.values("X-Tag"), response.body) == (status, [f"{HOST} 127.0.0.1"], b"")


def test_websocket_has_them_too(scene: Scene) -> None:
    scene.recorder.answer_next(SWITCHING)
    with scene.connect() as client:
        client.send(request("GET", "/api/socket", *UPGRADE, host=HOST))
        response = client.read_response()
    assert (response.status, response.values("X-Tag")) == (101, [f"{HOST} 127.0.0.1"])
    scene.settle()
    assert scene.targets == ["/in/socket"]


@pytest.mark.parametrize("value", ["evil\x7f", "a b", "1.2.3.4\tX: y", "\xe4", "x" * 300, "{host}", "1.2.3.4;a=b"])
def test_what_a_trusted_peer_claims_cannot_end_a_line(scene: Scene, value: str) -> None:
    response = ask(scene, request("GET", "/api/x", f"X-Forwarded-For: {value}", host=HOST), "trusting")
    assert response.status in {200, 400}
    for tag in response.values("X-Tag"):
        assert tag.removeprefix(f"{HOST} ") in {"127.0.0.1", "unknown"}
