"""Error pages, built from a configuration and its files."""

from proxy.routes.error_pages import MOST_BYTES, ErrorPages
from proxy.tls.openssl.capabilities import Capabilities
from proxy.worker.generation import Generation
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.generations import built, problems


def text(site: Site, pages: str, route: str = "") -> str:
    second = '[[route]]\nhost = "chat.test"\npath = "/own"\nupstream = "chat"\n' + route
    return f"[error_pages]\n{pages}\n" + MINIMAL_LISTENER + site.identity + MINIMAL_REST + second


def pages_of(generation: Generation, path: bytes) -> ErrorPages | None:
    route = generation.routes.match(b"chat.test", path)
    assert route is not None
    return route.payload.error_pages


def test_routes_have_the_pages_of_all_and_their_own(site: Site, capabilities: Capabilities) -> None:
    for name in ("a.html", "b.html"):
        (site.directory / name).write_text(f"{name} {{status}}")
    (site.directory / "a.json").write_text('{"status": {status}}')
    pages = '502 = ["a.html", "a.json"]\n5xx = "a.html"\n'
    generation = built(site, capabilities, text(site, pages, 'error_pages = { 502 = "b.html" }\n'))
    of_all = generation.error_pages
    assert of_all is not None
    assert pages_of(generation, b"/") is of_all
    own = pages_of(generation, b"/own")
    assert own is not None
    found = own.find(502, is_html=True)
    assert found is not None
    assert found.body(502, "", "") == b"b.html 502"
    assert own.find(502, is_html=False) is of_all.find(502, is_html=False) is not None
    assert own.find(503, is_html=True) is of_all.find(502, is_html=True)  # of one file


def test_without_pages_there_is_nothing_to_look_into(site: Site, capabilities: Capabilities) -> None:
    generation = built(site, capabilities, text(site, ""))
    assert generation.error_pages is pages_of(generation, b"/own") is None


def test_unusable_pages_are_errors(site: Site, capabilities: Capabilities) -> None:
    (site.directory / "long.html").write_bytes(b"x" * (MOST_BYTES + 1))
    (site.directory / "bad.json").write_text("{status")
    (site.directory / "latin.html").write_bytes(b"\xe4")
    pages = '502 = ["long.html", "bad.json"]\n5xx = "none.html"\n'
    found = problems(site, capabilities, text(site, pages, 'error_pages = { 404 = "latin.html" }\n'))
    assert {key: problem.found.partition(":")[0] for key, problem in found.items()} == {
        "error_pages.502[0]": '"long.html", which has more',
        "error_pages.502[1]": '"bad.json", which is not JSON once its placeholders are filled',
        "error_pages.5xx": '"none.html", which cannot be read (No such file or directory)',
        "route[1].error_pages.404": '"latin.html", which is not UTF-8',
    }
