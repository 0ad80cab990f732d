"""HAProxy and nginx with a configuration of a test, in front of Plexigate or behind it."""

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from tests.integration.nginx_backend import NGINX
from tests.programs import end

_SECONDS = 10.0
_HAPROXY = """
global
  maxconn 100
defaults
  timeout connect 5s
  timeout client 20s
  timeout server 20s
{text}
"""
_NGINX = """
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
{user}
events {{ }}
http {{
  access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  {http}
}}
stream {{ {stream} }}
"""


@contextmanager
def haproxy(directory: Path, text: str, port: int) -> Iterator[None]:
    """Run HAProxy; `port` is one of those that `text` binds."""
    configuration = directory / f"haproxy-{port}.cfg"
    configuration.write_text(_HAPROXY.format(text=text))
    with _running(["/usr/sbin/haproxy", "-db", "-f", str(configuration)], directory / f"haproxy-{port}.log", port):
        yield


@contextmanager
def nginx(directory: Path, port: int, *, http: str = "", stream: str = "") -> Iterator[None]:
    """Run nginx; `port` is one of those that it listens on."""
    assert NGINX is not None
    place = directory / f"nginx-{port}"
    place.mkdir()
    configuration = place / "nginx.conf"
    user = "user root;" if Path("/proc/self").stat().st_uid == 0 else ""
    configuration.write_text(_NGINX.format(directory=place, user=user, http=http, stream=stream))
    command = [NGINX, "-c", str(configuration), "-e", str(place / "error.log")]
    with _running(command, place / "output.log", port):
        yield


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[None]:
    with log.open("ab") as output:
        process = Popen(command, stdout=output, stderr=output)
    try:
        give_up = time.monotonic() + _SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up
            time.sleep(0.02)
        yield
    finally:
        end(process)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False
