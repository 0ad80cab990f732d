"""A small chat service over gRPC, written without generated code: messages are bytes as they are."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from tests.certificates import CertificateFiles

SERVICE = "chat.Chat"
Context = Any  # grpc.ServicerContext, which has no types


def _say(request: bytes, context: Context) -> bytes:
    """Unary: answer with what was said, and with the metadata and the deadline that arrived."""
    metadata = dict(context.invocation_metadata())
    context.set_trailing_metadata(
        (
            (
                "x-room",
                str(metadata.get("x-room", "")),
            ),
        )
    )
    if request == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")
    if request == b"deadline":
        return str(int(context.time_remaining() or 0)).encode()
    if request == b"sleep":
        time.sleep(0.5)
    return b"you said " + request


def _history(request: bytes, context: Context) -> Iterator[bytes]:
    """Server stream: as many messages as asked for."""
    del context
    count, size = map(int, request.split())
    for number in range(count):
        yield b"%d " % number + bytes(size)


def _talk(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
    """Bidirectional stream: each message is answered before the next is read; `bye` ends it."""
    del context
    for message in requests:
        if message == b"bye":
            return
        yield b"heard " + message


def _upload(requests: Iterator[bytes], context: Context) -> bytes:
    """Client stream: the size of all messages."""
    del context
    return b"%d" % sum(map(len, requests))


@contextmanager
def chat_server(files: CertificateFiles | None = None, port: int = 0, **options: int) -> Iterator[int]:
    """Serve on a port, over TLS if there are files."""
    server = grpc.server(ThreadPoolExecutor(64), options=[(f"grpc.{name}", value) for name, value in options.items()])
    handlers: dict[str, Any] = {
        "Say": grpc.unary_unary_rpc_method_handler(_say),
        "History": grpc.unary_stream_rpc_method_handler(_history),
        "Talk": grpc.stream_stream_rpc_method_handler(_talk),
        "Upload": grpc.stream_unary_rpc_method_handler(_upload),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    if files is None:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        pair = (Path(files.key).read_bytes(), Path(files.certificate).read_bytes())
        bound = server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield bound
    finally:
        server.stop(0).wait()


class ChatClient:
    """A client of the service, through the proxy."""

    def __init__(self, port: int, ca: Path) -> None:
        """Connect by TLS, with `h2` chosen by ALPN."""
        credentials = grpc.ssl_channel_credentials(ca.read_bytes())
        self.channel = grpc.secure_channel(f"localhost:{port}", credentials)
        self.say = self.channel.unary_unary(f"/{SERVICE}/Say")
        self.history = self.channel.unary_stream(f"/{SERVICE}/History")
        self.talk = self.channel.stream_stream(f"/{SERVICE}/Talk")
        self.upload = self.channel.stream_unary(f"/{SERVICE}/Upload")

    def __enter__(self) -> "ChatClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
