"""nginx as a backend that speaks HTTP/2, over TLS and with prior knowledge."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from tests.certificates import CertificateFiles
from tests.ports import lasting_port
from tests.programs import end

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
_CONFIGURATION = """
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log;
{user}
events {{ }}
http {{
  access_log {directory}/access.log; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  ssl_certificate {certificate}; ssl_certificate_key {key};
  keepalive_requests {requests}; http2_max_concurrent_streams {streams};
  log_format version '$server_protocol $connection $request_method $request_uri $http_x_forwarded_proto';
  server {{
    listen 127.0.0.1:{clear}; listen 127.0.0.1:{tls} ssl; http2 on; root {directory}/files;
    access_log {directory}/access.log version;
    client_max_body_size 10m;
    # `return` answers before it has the body, and then resets the stream: so it is read on the way to another location
    location /nginx/echo {{ proxy_pass http://127.0.0.1:{clear}/echoed; proxy_set_header Host $host; }}
    location /echoed {{ access_log off; return 200 "$request_method $scheme $host $content_length"; }}
    location /nginx/empty {{ return 204; }}
  }}
  server {{ listen 127.0.0.1:{old} ssl; location / {{ return 200 "old"; }} }}
}}
"""


class Nginx:
    """A running nginx, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clear, self.tls, self.old = lasting_port(), lasting_port(), lasting_port()
        """Ports: prior knowledge, ALPN, and TLS without HTTP/2."""

    def requests(self) -> list[list[str]]:
        """Protocol, connection, method, path and X-Forwarded-Proto of each request."""
        return [line.split() for line in (self.directory / "access.log").read_text().splitlines()]


@contextmanager
def nginx(directory: Path, files: CertificateFiles, *, requests: int = 1_000, streams: int = 128) -> Iterator[Nginx]:
    """Run it. After `requests` a connection gets GOAWAY; it takes `streams` at once."""
    assert NGINX is not None
    made = Nginx(directory)
    (directory / "files" / "nginx").mkdir(parents=True)
    (directory / "files" / "nginx" / "big").write_bytes(bytes(range(256)) * 20_000)
    (directory / "files" / "nginx" / "small").write_bytes(b"small")
    for parent in (directory, directory / "files", directory / "files" / "nginx"):
        parent.chmod(0o755)
    user = "user root;" if Path("/proc/self").stat().st_uid == 0 else ""
    configuration = directory / "nginx.conf"
    ports = {"clear": made.clear, "tls": made.tls, "old": made.old}
    pair = {"certificate": files.certificate, "key": files.key}
    text = _CONFIGURATION.format(directory=directory, user=user, requests=requests, streams=streams, **ports, **pair)
    configuration.write_text(text)
    with (directory / "error.log").open("ab") as log:
        process = Popen([NGINX, "-c", str(configuration), "-e", str(directory / "error.log")], stderr=log)
    try:
        give_up = time.monotonic() + 10.0
        while not (directory / "nginx.pid").exists():
            assert process.poll() is None, (directory / "error.log").read_text()
            assert time.monotonic() < give_up
            time.sleep(0.02)
        yield made
    finally:
        end(process)
