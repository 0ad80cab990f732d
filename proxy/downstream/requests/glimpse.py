"""What the log can say about a request that was not understood. Pure.

The proxy refused the request because its bytes have no single meaning, so this decides nothing. An
operator who looks for the program that sends such requests needs to see what it asked for.
"""

from typing import Final

from proxy.observe.logs.access_log import TargetRecord

_METHOD_BYTES: Final = 32
_HOST_BYTES: Final = 255  # RFC 1035 section 2.3.4
_PATH_BYTES: Final = 1_024
_HOST: Final = b"host:"
# Visible ASCII stays. Everything else could control the program that shows the log.
_CLEANED: Final = bytes(code if 0x21 <= code <= 0x7E else ord("?") for code in range(256))


def glimpse(data: bytes) -> TargetRecord | None:
    """Read method, path, query and host from the beginning of a request, even of a malformed one.

    None if the request has not begun.
    """
    line, _, section = data.lstrip(b"\r\n").partition(b"\n")
    words = line.split()
    if not words:
        return None
    target = words[1] if len(words) > 1 else b""
    path, mark, query = target.partition(b"?")
    return TargetRecord(
        _host(section),
        _text(words[0], _METHOD_BYTES),
        _text(path, _PATH_BYTES),
        _text(query, _PATH_BYTES) if mark else None,
    )


def _host(section: bytes) -> str | None:
    for line in section.split(b"\n"):
        if line[: len(_HOST)].lower() == _HOST:
            return _text(line[len(_HOST) :].strip(), _HOST_BYTES)
    return None


def _text(value: bytes, most: int) -> str:
    shown = value[:most].translate(_CLEANED).decode("ascii")
    return shown if len(value) <= most else f"{shown}..."
