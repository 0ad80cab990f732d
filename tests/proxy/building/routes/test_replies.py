"""What routes answer themselves, built from a configuration and its files."""

from proxy.http.local_answers import LocalAnswer, LocalRequest
from proxy.routes.replies import MOST_BYTES
from proxy.tls.openssl.capabilities import Capabilities
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.generations import built, problems


def route(path: str, answer: str) -> str:
    return f'[[route]]\nhost = "chat.test"\npath = "{path}"\n{answer}\n'


def text(site: Site, *routes: str) -> str:
    return MINIMAL_LISTENER + site.identity + MINIMAL_REST + "".join(routes)


def answers(site: Site, capabilities: Capabilities, *routes: str) -> dict[str, LocalAnswer]:
    """What each route answers to GET; nothing for a route with a server."""
    generation = built(site, capabilities, text(site, *routes))
    found = {}
    for path in ("/", "/a", "/b", "/c"):
        match = generation.routes.match(b"chat.test", path.encode())
        assert match is not None
        endpoint = match.payload.endpoint
        if endpoint is not None:
            assert (match.payload.label, match.payload.upstream) == (f"chat.test{path}", "")
            answer = endpoint.answer(LocalRequest(b"GET", b"chat.test", path.encode(), [], b""), 0.0)
            assert isinstance(answer, LocalAnswer)
            found[path] = answer
    return found


def test_texts_files_and_redirects_answer(site: Site, capabilities: Capabilities) -> None:
    (site.directory / "a.json").write_bytes(b"{}")
    found = answers(
        site,
        capabilities,
        route("/a", 'respond = { file = "a.json" }'),
        route("/b", 'respond = { status = 410, body = "gone: \\u00e4", headers = { X-A = "1" } }'),
        route("/c", 'redirect = { to = "https://new.test{path}", status = 302 }'),
    )
    assert set(found) == {"/a", "/b", "/c"}
    assert found["/a"].body == b"{}"
    assert found["/a"].fields.startswith(b"Content-Type: application/json\r\nETag: ")
    assert found["/b"] == LocalAnswer(410, "gone: ä".encode(), b"Content-Type: text/plain; charset=utf-8\r\nX-A: 1\r\n")
    assert found["/c"] == LocalAnswer(302, b"", b"Location: https://new.test/c\r\n")


def test_a_file_of_two_routes_is_kept_once(site: Site, capabilities: Capabilities) -> None:
    (site.directory / "big.txt").write_bytes(b"x" * MOST_BYTES)
    found = answers(site, capabilities, *(route(path, 'respond = { file = "big.txt" }') for path in ("/a", "/b")))
    assert found["/a"].body is found["/b"].body


def test_files_that_are_missing_or_too_long_are_errors(site: Site, capabilities: Capabilities) -> None:
    (site.directory / "long.txt").write_bytes(b"x" * (MOST_BYTES + 1))
    found = problems(
        site,
        capabilities,
        text(site, route("/a", 'respond = { file = "long.txt" }'), route("/b", 'respond = { file = "none.txt" }')),
    )
    assert {key: problem.found for key, problem in found.items()} == {
        "route[1].respond.file": '"long.txt", which has more',
        "route[2].respond.file": '"none.txt", which cannot be read (No such file or directory)',
    }
    assert found["route[1].respond.file"].allowed == "at most 1_048_576 bytes: each worker keeps it in memory"
