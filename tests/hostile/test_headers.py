"""Header fields: what ends them, what they may be called, and which of them an upstream must never get from a client.

RFC 9112 section 5, RFC 9110 sections 5 and 7.6.1.
"""

import pytest

from tests.hostile.client import Cut, End
from tests.hostile.recorder import Request
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request

CONTROLS = [octet for octet in range(0x20) if octet not in b"\t"] + [0x7F]
WHITE = [0x09, 0x0B, 0x0C, 0x20, 0x85, 0xA0]
PLACES = {
    "value_begins": "X-Field: %cvalue",
    "value": "X-Field: val%cue",
    "value_ends": "X-Field: value%c",
    "value_alone": "X-Field: %c",
    "name_begins": "%cX-Field: value",
    "name": "X-Fi%celd: value",
    "name_ends": "X-Field%c: value",
    "name_alone": "%c: value",
}


@pytest.mark.parametrize("octet", CONTROLS, ids=lambda octet: f"{octet:02x}")
@cases(PLACES)
def test_a_control_character_is_refused_wherever_it_stands(scene: Scene, case: str, octet: int) -> None:
    scene.refused(request("GET", "/", case % octet) + SMUGGLED, 400)


@pytest.mark.parametrize("octet", [*WHITE, *b'"(),/:;<=>?@[]{}\\', 0x80, 0xAD, 0xFF], ids=lambda octet: f"{octet:02x}")
@pytest.mark.parametrize("place", ["%cX-Field: value", "X-Fi%celd: value", "X-Field%c: value", "%c: value"])
def test_a_name_that_is_no_token_is_refused(scene: Scene, octet: int, place: str) -> None:
    if place == "X-Field%c: value" and octet == ord(":"):
        place = "X-Field\x0b%c: value"  # two colons are a colon and a value
    if place == "X-Fi%celd: value" and octet == ord(":"):
        place = "%celd: value"
    scene.refused(request("GET", "/", place % octet) + SMUGGLED, 400)


MALFORMED = {
    "empty_name": (": value",),
    "empty_name_and_value": (":",),
    "empty_name_of_length": (": 5",),
    "no_colon": ("X-Field",),
    "no_colon_with_words": ("X Field value",),
    "request_line_as_field": ("GET /smuggled HTTP/1.1",),
    "folded": ("X-Field: a", " b"),
    "folded_by_tab": ("X-Field: a", "\tb"),
    "folded_with_colon": ("X-Field: a", " Transfer-Encoding: chunked"),
    "folded_twice": ("X-Field: a", " b", " c"),
    "folded_empty": ("X-Field:", " b"),
    "folded_blank": ("X-Field: a", " "),
    "folded_at_the_end": ("X-Field: a", " \t "),
    "expectation_folded": ("Expect:", " 100-continue"),
    "host_folded": ("X-Field: a", " Host: evil.test"),
    "return_hides_coding": ("X-Field: a\rTransfer-Encoding: chunked",),
    "newline_hides_coding": ("X-Field: a\nTransfer-Encoding: chunked",),
    "nul_hides_coding": ("X-Field: a\x00Transfer-Encoding: chunked",),
    "return_ends_head": ("X-Field: a\r\rGET /smuggled HTTP/1.1",),
    "newline_ends_head": ("X-Field: a\n\nGET /smuggled HTTP/1.1\nHost: chat.test",),
    "return_newline_return": ("X-Field: a", "\rZ"),
    "newline_return_newline": ("X-Field: a\n\r\nGET /smuggled HTTP/1.1",),
    "line_end_in_name": ("X-\nField: a",),
}


@CUTS
@cases(MALFORMED)
def test_a_malformed_line_is_refused(scene: Scene, case: tuple[str, ...], cut: Cut) -> None:
    scene.refused(request("GET", "/", *case) + SMUGGLED, 400, cut=cut)


FIRST_LINES = {
    "space": b"GET / HTTP/1.1\r\n Host: chat.test\r\n\r\n",
    "space_before_another": b"GET / HTTP/1.1\r\n X-Field: a\r\nHost: chat.test\r\n\r\n",
    "tab": b"GET / HTTP/1.1\r\n\tHost: chat.test\r\n\r\n",
    "evil_host_then_host": b"GET / HTTP/1.1\r\n Host: evil.test\r\nHost: chat.test\r\n\r\n",
    "blank": b"GET / HTTP/1.1\r\n \r\nHost: chat.test\r\n\r\n",
    "return": b"GET / HTTP/1.1\r\n\rHost: chat.test\r\n\r\n",
}


@CUTS
@cases(FIRST_LINES)
def test_white_space_before_the_first_field_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.refused(case + SMUGGLED, 400, cut=cut)


VALUES = {
    "empty": "",
    "latin_1": "caf\xe9",
    "utf_8": "\u2603".encode().decode("latin-1"),
    "every_visible": "".join(map(chr, range(0x21, 0x7F))),
    "every_high": "".join(map(chr, range(0x80, 0x100))),
    "tab_within": "a\tb",
    "spaces_within": "a   b",
    "colons": ":::",
    "percent": "%0d%0aTransfer-Encoding:%20chunked",
    "utf_8_overlong_newline": "a\xc0\x8aTransfer-Encoding: chunked",
    "utf_8_like_newline": "\u560d\u560aTransfer-Encoding: chunked".encode().decode("latin-1"),
}


@CUTS
@cases(VALUES)
def test_a_well_formed_value_arrives_as_it_was_sent(scene: Scene, case: str, cut: Cut) -> None:
    scene.served(request("GET", "/", f"X-Field: \t{case} "), 200, cut=cut)
    assert scene.only_request().values("X-Field") == [case]


NAMES = {
    "every_token_character": "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz",
    "one_letter": "x",
    "of_255": "Content-Length0" + "a" * 240,
    "of_8000": "x" * 8_000,
    "number": "1",
}


@CUTS
@cases(NAMES)
def test_a_well_formed_name_arrives_as_it_was_sent(scene: Scene, case: str, cut: Cut) -> None:
    scene.served(request("GET", "/", f"{case}: value"), 200, cut=cut)
    assert scene.only_request().values(case) == ["value"]


# -- what a client may not say to an upstream

STRIPPED = {
    "proxy": "Proxy: http://evil.test",
    "proxy_capitals": "PROXY: http://evil.test",
    "proxy_connection": "Proxy-Connection: keep-alive",
    "proxy_authorization": "Proxy-Authorization: Basic eA==",
    "keep_alive": "Keep-Alive: timeout=5",
    "http2_settings": "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "te_gzip": "TE: gzip",
    "te_with_weight": "TE: deflate;q=0.5",
    "trailer": "Trailer: X-Field",
    "upgrade_alone": "Upgrade: foo",
    "x_forwarded_for": "X-Forwarded-For: 1.2.3.4",
    "x_forwarded_for_small": "x-forwarded-for: 1.2.3.4",
    "x_forwarded_for_odd": "X-fOrWaRdEd-fOr: 1.2.3.4",
    "x_forwarded_host": "X-Forwarded-Host: evil.test",
    "x_forwarded_proto": "X-Forwarded-Proto: http",
    "x_forwarded_port": "X-Forwarded-Port: 80",
    "x_forwarded_prefix": "X-Forwarded-Prefix: /admin",
    "x_forwarded_server": "X-Forwarded-Server: evil.test",
    "x_forwarded_ssl": "X-Forwarded-Ssl: on",
    "x_forwarded_user": "X-Forwarded-User: root",
    "x_forwarded_email": "X-Forwarded-Email: root@chat.test",
    "x_forwarded": "X-Forwarded: for=1.2.3.4",
    "forwarded": "Forwarded: for=1.2.3.4",
    "x_real_ip": "X-Real-IP: 1.2.3.4",
    "true_client_ip": "True-Client-IP: 1.2.3.4",
    "x_client_ip": "X-Client-IP: 1.2.3.4",
    "x_cluster_client_ip": "X-Cluster-Client-IP: 1.2.3.4",
    "client_cert": "Client-Cert: :MIIB:",
    "client_cert_chain": "Client-Cert-Chain: :MIIB:",
    "x_client_cert": "X-Client-Cert: MIIB",
    "x_ssl_client_verify": "X-SSL-Client-Verify: SUCCESS",
    "ssl_client_cert": "SSL-Client-Cert: MIIB",
    "x_tls_group": "X-TLS-Group: forged",
    "x_request_id": "X-Request-Id: forged",
    "x_original_url": "X-Original-URL: /admin",
    "x_rewrite_url": "X-Rewrite-URL: /admin",
}
TWINS = {
    f"{name}_{kind}": line.partition(":")[0].replace("-", twin) + ": forged"
    for name, line in STRIPPED.items()
    for kind, twin in (("underscore", "_"), ("dot", "."))
    if "-" in line.partition(":")[0]
}


@CUTS
@cases({**STRIPPED, **TWINS})
def test_a_field_that_speaks_for_a_proxy_is_not_forwarded(scene: Scene, case: str, cut: Cut) -> None:
    scene.served(request("GET", "/", "X-Before: a", case, "X-After: b"), 200, cut=cut)
    seen = scene.only_request()
    name, _, value = case.partition(": ")
    assert value not in seen.values(name)
    assert value.encode("latin-1") not in [found for _, found in seen.headers]
    assert (seen.values("X-Before"), seen.values("X-After")) == (["a"], ["b"])


def ours(seen: Request) -> dict[str, list[str]]:
    """The forwarding fields as the upstream got them."""
    names = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded")
    found = {name: seen.message.values(name) for name in names}
    # without the name of this start
    return found | {"Via": [value.partition("-")[0] for value in seen.message.values("Via")]}


OURS = {
    "X-Forwarded-For": ["127.0.0.1"],
    "X-Forwarded-Proto": ["https"],
    "X-Forwarded-Host": ["chat.test"],
    "Forwarded": ['for=127.0.0.1;proto=https;host="chat.test"'],
    "Via": ["1.1 plexigate"],
}

# CVE-2022-31813: the fields of the proxy itself were removed by a client that named them.
NAMED_AWAY = {
    "x_forwarded_for": "close, X-Forwarded-For",
    "every_one": "X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, Via, X-Request-Id, X-TLS-Group",
    "twins": "X_Forwarded_For, X.Forwarded.For",
    "small_letters": "x-forwarded-for, forwarded",
    "cookie": "keep-alive, Cookie",
    "authorization": "Authorization",
    "unknown": "X-Nothing",
    "via": "Via",
    "connection": "Connection",
    "date": "close, Date, Server",
}


@CUTS
@cases(NAMED_AWAY)
def test_our_fields_cannot_be_named_away(scene: Scene, case: str, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(request("GET", "/", f"Connection: {case}", "X-Forwarded-For: 6.6.6.6", "Cookie: a=b"), cut)
        assert client.read_response().status == 200
    scene.only_request()
    assert ours(scene.recorder.complete[0]) == OURS
    assert scene.recorder.complete[0].message.values("Cookie") == ["a=b"]


@cases({name: case for name, case in NAMED_AWAY.items() if "orwarded" in case})
def test_claims_of_a_trusted_peer_cannot_be_named_away(scene: Scene, case: str) -> None:
    with scene.connect("trusting.test", "trusting") as client:
        lines = (f"Connection: {case}", "X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7")
        client.send(request("GET", "/", *lines, host="trusting.test"))
        assert client.read_response().status == 200
    assert scene.only_request().values("X-Forwarded-For") == ["192.0.2.7, 127.0.0.1"]


@cases(
    {
        "host": "Host",
        "host_small": "close, host",
        "content_length": "Content-Length",
        "transfer_encoding": "transfer-encoding",
        "not_a_token": "X Y",
        "quoted": '"close"',
        "semicolon": "close; x",
        "high": "clos\xe9",
        "equals": "a=b",
    }
)
def test_a_connection_field_that_names_what_everybody_needs_is_refused(scene: Scene, case: str) -> None:
    scene.refused(request("POST", "/", f"Connection: {case}", "Content-Length: 0") + SMUGGLED, 400)


@ALL_CUTS
def test_named_fields_are_removed_from_every_line_of_connection(scene: Scene, cut: Cut) -> None:
    lines = ("Connection: X-One,, x-TWO ,", "X-One: 1", "X-Two: 2", "X-Three: 3", "connection:\tX-Three", "X-Four: 4")
    scene.served(request("GET", "/", *lines), 200, cut=cut)
    names = scene.only_request().names
    assert [name for name in names if name in {"x-one", "x-two", "x-three", "x-four"}] == ["x-four"]


CLOSING = {
    "close": ("Connection: close",),
    "capitals": ("Connection: CLOSE",),
    "in_a_list": ("Connection: keep-alive, close",),
    "in_a_second_line": ("Connection: keep-alive", "Connection: close"),
    "with_empty_elements": ("Connection: ,, close,",),
}


@CUTS
@cases(CLOSING)
def test_a_client_that_closes_gets_no_further_answer(scene: Scene, case: tuple[str, ...], cut: Cut) -> None:
    with scene.connect() as client:
        client.send(request("GET", "/first", *case) + SMUGGLED, cut)
        assert client.read_response().values("Connection") == ["close"]
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.begun == ["/first"]


def test_a_trusted_peer_is_believed_and_added_to(scene: Scene) -> None:
    lines = (
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: public.test",
        "Forwarded: for=192.0.2.7",
        "X-Request-Id: given",
        "X-Real-IP: 192.0.2.7",
        "X_Forwarded_For: 6.6.6.6",
        "X-TLS-Group: forged",
        "Proxy: http://evil.test",
    )
    with scene.connect("trusting.test", "trusting") as client:
        client.send(request("GET", "/", *lines, host="trusting.test"))
        assert client.read_response().status == 200
    seen = scene.only_request()
    assert seen.values("X-Forwarded-For") == ["192.0.2.7, 127.0.0.1"]
    assert seen.values("X-Forwarded-Proto") == ["http"]
    assert seen.values("X-Forwarded-Host") == ["public.test"]
    ours = 'for=127.0.0.1;proto=https;host="trusting.test"'
    assert seen.values("Forwarded") == [f"for=192.0.2.7;proto=http, {ours}"]
    assert seen.values("X-Request-Id") == ["given"]
    assert seen.values("X-Real-IP") == ["192.0.2.7"]
    assert seen.values("X-TLS-Group") == ["X25519MLKEM768"]


# Each comes before or beside the address that the trusted peer appended.
FORGED = {
    "before": ("X-Forwarded-For: 6.6.6.6, 192.0.2.7",),
    "line before": ("X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.7"),
    "trusted before": ("X-Forwarded-For: 6.6.6.6, 127.0.0.1, 192.0.2.7",),
    "trusted between": ("X-Forwarded-For: 6.6.6.6, 192.0.2.7, 127.0.0.2",),
    "nonsense before": ('X-Forwarded-For: "6.6.6.6, 192.0.2.7',),
    "port": ("X-Forwarded-For: 6.6.6.6:1, 192.0.2.7:2",),
    "mapped": ("X-Forwarded-For: 6.6.6.6, ::ffff:192.0.2.7",),
    "other field": ("Forwarded: for=6.6.6.6", "X-Forwarded-For: 192.0.2.7"),
    "other field behind": ("X-Forwarded-For: 192.0.2.7", "Forwarded: for=6.6.6.6", "X-Real-IP: 6.6.6.6"),
    "other names": ("X-Forwarded-For: 192.0.2.7", "True-Client-IP: 6.6.6.6", "X-Client-IP: 6.6.6.6"),
}


@cases(FORGED)
def test_address_before_that_of_the_trusted_peer_is_never_believed(scene: Scene, case: tuple[str, ...]) -> None:
    with scene.connect("trusting.test", "trusting") as client:
        client.send(request("GET", "/", *case, host="trusting.test"))
        assert client.read_response().status == 200
    seen = scene.only_request()
    assert seen.values("X-Forwarded-For")[0].startswith("192.0.2.7, ")
    assert seen.values("Forwarded")[0].startswith("for=192.0.2.7;")
    assert not any(b"6.6.6.6" in value for _, value in seen.headers)


UNTOLD = {
    "unknown": ("X-Forwarded-For: 6.6.6.6, unknown",),
    "hidden": ("X-Forwarded-For: 6.6.6.6, _hidden",),
    "empty": ("X-Forwarded-For: 6.6.6.6,",),
    "empty line": ("X-Forwarded-For: 6.6.6.6", "X-Forwarded-For:"),
    "name": ("X-Forwarded-For: 6.6.6.6, evil.test",),
    "two": ("X-Forwarded-For: 6.6.6.6 192.0.2.7",),
    "zone": ("X-Forwarded-For: 6.6.6.6, fe80::1%lo",),
    "other field": ("Forwarded: for=6.6.6.6",),
    "other name": ("X-Real-IP: 6.6.6.6",),
}


@cases(UNTOLD)
def test_peer_that_names_no_client_is_the_client(scene: Scene, case: tuple[str, ...]) -> None:
    with scene.connect("trusting.test", "trusting") as client:
        client.send(request("GET", "/", *case, host="trusting.test"))
        assert client.read_response().status == 200
    seen = scene.only_request()
    assert seen.values("X-Forwarded-For") == ["127.0.0.1"]
    assert not any(b"6.6.6.6" in value for _, value in seen.headers)


@pytest.mark.parametrize("value", ["a b", "", "x" * 129, "a\xe9", 'a"b', "a,b", "a;b", "{a}"])
def test_a_request_id_that_is_not_sane_is_replaced_whoever_sent_it(scene: Scene, value: str) -> None:
    with scene.connect("trusting.test", "trusting") as client:
        client.send(request("GET", "/", f"X-Request-Id: {value}", host="trusting.test"))
        assert client.read_response().status == 200
    made = scene.only_request().values("X-Request-Id")
    assert len(made) == 1
    assert made != [value]
