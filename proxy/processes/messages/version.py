"""The version of the messages: two processes understand each other if it is equal. Pure.

It is a digest of all definitions, so that a change of a field cannot be forgotten, and a number for a change of meaning that no
field shows (seconds that become milliseconds; the layout of the shared counts, of the turns to log in or of the material).

Why it is asked for. A parent that runs for months starts a worker from the files of that moment. If somebody has replaced these
files, the worker has other messages than its parent. The parent names its version in its first question, and the worker refuses
another one (`OtherVersion`) before it reads anything else. Therefore three things are the same in all versions: the first question
is a `Begin`, its body has a text `version`, and the refusal has the kind `OtherVersion` with the texts `ours`, `theirs`, `error`.
"""

import hashlib
from typing import Final, get_args

from proxy.processes.messages.codec import shape
from proxy.processes.messages.news import WorkerNews
from proxy.processes.messages.questions import ParentQuestion
from proxy.processes.messages.refusals import Refusal
from proxy.processes.messages.wire import answer_type

# To be raised by whoever changes a meaning and no field.
_MEANING: Final = 1
_DIGEST_DIGITS: Final = 12


def version_of(*kinds: type) -> str:
    """The version of a set of messages."""
    digest = hashlib.sha256("\n".join(shape(one) for one in kinds).encode()).hexdigest()
    return f"{_MEANING}-{digest[:_DIGEST_DIGITS]}"


_QUESTIONS: Final = (*get_args(ParentQuestion), *get_args(WorkerNews))
VERSION: Final = version_of(*_QUESTIONS, *map(answer_type, _QUESTIONS), *get_args(Refusal))
"""Of the messages of this process."""
