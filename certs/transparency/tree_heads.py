"""How large a log says that it is: its signed tree head (RFC 6962 section 3.5), or its checkpoint.
Pure.

A checkpoint (https://c2sp.org/static-ct-api) is the same head as text, with the same signature.
What a log of the list says has to be signed by it, and be new: old answers would hide what came
since.
"""

import base64
import json
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from certs.transparency.entries import AnswerDamaged
from certs.transparency.log_list import EPOCH, KnownLog

_SIZE_DIGITS: Final = 19
"""Of the greatest size. Python refuses to read more than 4,300."""
_MOST_SIZE: Final = 1 << 63
_MOST_TIME: Final = 1 << 47
"""In milliseconds: in the year 6429."""
# version 1, the signature of a tree head
_HEAD: Final = b"\0\1"
_KIND_OF_CHECKPOINT: Final = b"\n\x05"
_KEY_ID: Final = 4
_TIME: Final = 8
_OLDEST: Final = timedelta(hours=24)
"""The longest that a log may take for a new head (Chrome's policy, maximum merge delay)."""


def tree_size(content: bytes, log: KnownLog | None, now: datetime) -> int:
    """How many entries a log has, from its answer to `get-sth` (RFC 6962 section 4.3).

    Raises `AnswerDamaged`, also if `log` has not signed it, or did so long ago.
    """
    try:
        head: Any = json.loads(content)
        size = _size(head["tree_size"])
        if log is not None:
            root = base64.b64decode(head["sha256_root_hash"], validate=True)
            signature = base64.b64decode(head["tree_head_signature"], validate=True)
            _require(log, head["timestamp"], size, root, signature, now)
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise error if isinstance(error, AnswerDamaged) else AnswerDamaged("no signed tree head") from None
    return size


def checkpoint_size(content: bytes, log: KnownLog | None, now: datetime) -> int:
    """How many entries a log has, from the second line of its checkpoint.

    Raises `AnswerDamaged`, also if `log` has not signed it, or did so long ago.
    """
    text, _, signatures = content.partition(b"\n\n")
    lines = text.split(b"\n")
    if len(lines) < 3 or not lines[1].isdigit() or len(lines[1]) > _SIZE_DIGITS:
        raise AnswerDamaged("no checkpoint")
    size = _size(int(lines[1]))
    if log is not None:
        key_id = sha256(lines[0] + _KIND_OF_CHECKPOINT + log.log_id).digest()[:_KEY_ID]
        try:
            root = base64.b64decode(lines[2], validate=True)
            found = [base64.b64decode(one.rpartition(b" ")[2], validate=True) for one in signatures.splitlines()]
        except ValueError:
            raise AnswerDamaged("no checkpoint") from None
        # others may sign it too, such as witnesses
        own = next((one[_KEY_ID:] for one in found if one[:_KEY_ID] == key_id), bytes(_TIME))
        _require(log, int.from_bytes(own[:_TIME], "big"), size, root, own[_TIME:], now)
    return size


def _size(size: object) -> int:
    if not isinstance(size, int) or not 0 <= size < _MOST_SIZE:
        raise AnswerDamaged("a size that no tree has")
    return size


def _require(log: KnownLog, moment: object, size: int, root: bytes, signature: bytes, now: datetime) -> None:
    """The head of this time is of the log, and new. `signature` is as TLS has it."""
    if not isinstance(moment, int) or not 0 <= moment < _MOST_TIME:
        raise AnswerDamaged("a tree head of no time")
    signed = _HEAD + moment.to_bytes(8, "big") + size.to_bytes(8, "big") + root
    if not log.has_signed(signed, signature[4:]):  # behind the algorithms and the length
        raise AnswerDamaged(f"a tree head that the log of the list, {log.name}, has not signed")
    at = EPOCH + timedelta(milliseconds=moment)
    if now - at > _OLDEST:
        raise AnswerDamaged(f"a tree head of {at:%Y-%m-%d %H:%M} UTC, and a log makes a new one each day")
