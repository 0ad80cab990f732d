"""What the log can say about a request that was not understood. Pure.

The request was refused because its bytes have no single meaning, so nothing is decided by this. An operator who looks for the
program that sends such requests needs to see what it asked for.
"""

from typing import Final

from proxy.observe.access_log import TargetRecord

_METHOD_BYTES: Final = 32
_HOST_BYTES: Final = 255  # RFC 1035 section 2.3.4
_PATH_BYTES: Final = 1_024
_HOST: Final = b"host:"
# Visible ASCII stays, everything else could steer what shows the log.
_CLEANED: Final = bytes(code if 0x21 <= code <= 0x7E else ord("?") for code in range(256))


def glimpse(data: bytes) -> TargetRecord | None:
    """Read method, path, query and host off the beginning of a request, whatever is wrong with it; None where it has not begun."""
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
