"""A web server on the loopback for what is fetched: lists of revocations, the API of logs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class WebDocuments:
    """What the server has: bytes, or what makes them from the query, by path. Paths without are 404."""

    url: str
    contents: dict[str, bytes | Callable[[str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    """To where a path leads."""

    def address(self, path: str, content: bytes | Callable[[str], bytes]) -> str:
        """Put a document there."""
        self.contents[path] = content
        return self.url + path


@contextmanager
def web_documents() -> Iterator[WebDocuments]:
    """The server, until the end of the block."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            documents.asked.append(self.path)
            path, _, query = self.path.partition("?")
            if path in documents.redirects:
                self.send_response(302)
                self.send_header("Location", documents.redirects[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            found = documents.contents.get(path)
            body = b"" if found is None else found if isinstance(found, bytes) else found(query)
            self.send_response(200 if found is not None else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        documents = WebDocuments(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield documents
        finally:
            server.shutdown()
            thread.join()
