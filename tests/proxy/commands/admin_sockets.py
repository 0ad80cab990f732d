"""Admin sockets that give answers which a test has written."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from threading import Thread


@contextmanager
def admin_socket(path: Path, answers: Sequence[tuple[int, object]]) -> Iterator[list[str]]:
    """An admin socket that gives these answers, one after the other: documents, or octets as they are.

    Gives the requests: their method and target.
    """
    left = iter(answers)
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            status, document = next(left)
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def address_string(self) -> str:
            return str(path)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with UnixStreamServer(str(path), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()
