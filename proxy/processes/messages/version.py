"""The version of the messages: two processes understand each other if it is equal. Pure.

It is a digest of all definitions, so that a change of a field cannot be forgotten, and a number for
a change of meaning that no field shows (seconds that become milliseconds; the layout of the shared
counts, of the turns to log in or of the material).

Why it exists. A parent that runs for months starts a worker from the files of that moment. If an
upgrade has replaced these files, the worker has other messages than its parent. The parent names
its version in its first question. The worker refuses another one (`OtherVersion`) before it reads
anything else. Therefore three things are the same in all versions: the first question is a `Begin`;
its body has a text `version`; the refusal has the kind `OtherVersion` and the texts `ours`,
`theirs`, `error`.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, get_args

from proxy.processes.messages.codec import decode, shape
from proxy.processes.messages.news import WorkerNews
from proxy.processes.messages.questions import Begin, ParentQuestion
from proxy.processes.messages.refusals import OtherVersion, QuestionFailed, QuestionRefused, Refusal
from proxy.processes.messages.wire import answer_type

# Raise it with each change of a meaning that changes no field.
_MEANING: Final = 1
_DIGEST_DIGITS: Final = 12


def version_of(*kinds: type) -> str:
    digest = hashlib.sha256("\n".join(shape(one) for one in kinds).encode()).hexdigest()
    return f"{_MEANING}-{digest[:_DIGEST_DIGITS]}"


_QUESTIONS: Final = (*get_args(ParentQuestion), *get_args(WorkerNews))
_NAMES: Final = frozenset(one.__name__ for one in _QUESTIONS)
VERSION: Final = version_of(*_QUESTIONS, *map(answer_type, _QUESTIONS), *get_args(Refusal))


def decode_beginning(kind: str, body: Mapping[str, Any]) -> Begin:
    """Read the first question of a parent, which may be of another version.

    Raises `QuestionRefused` or `MessageMalformed`.
    """
    if kind != Begin.__name__ and kind in _NAMES:
        raise QuestionRefused(QuestionFailed(f"a question before the beginning: {kind}"))
    theirs = body.get("version")
    if theirs != VERSION:
        raise QuestionRefused(OtherVersion(VERSION, theirs if isinstance(theirs, str) else ""))
    return decode(Begin, body)
