"""Why a question is refused: a type for each reason. Pure.

A reason is a JSON object with its `kind`. `QuestionFailed` and `OtherVersion` have a sentence under
`error`, which a process of another version can show.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from config.values.problems import Problem
from proxy.processes.messages.codec import Body, MessageMalformed, decode, encode


@dataclass(frozen=True, slots=True)
class QuestionFailed:
    """Something went wrong: a sentence."""

    error: str

    def __str__(self) -> str:
        return self.error


@dataclass(frozen=True, slots=True)
class ConfigurationRefused:
    """The worker cannot serve by a configuration."""

    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.problems))


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """The worker speaks version `ours` of the messages, the parent `theirs` (may be empty)."""

    ours: str
    theirs: str
    error: str = "worker and parent are of different versions of Plexigate: restart it"
    """For a parent that does not know this reason."""

    def __str__(self) -> str:
        return (
            f"the new worker speaks version {self.ours} of the messages, this process version {self.theirs or 'none'}: "
            "the files of Plexigate were replaced while it runs; restart it (systemctl restart plexigate)"
        )


Refusal = QuestionFailed | ConfigurationRefused | OtherVersion
_KINDS: Final[Mapping[str, type[Refusal]]] = {one.__name__: one for one in get_args(Refusal)}


class QuestionRefused(Exception):
    """The other side says no, for a `reason`."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return str(self.reason)


def encode_refusal(reason: Refusal) -> Body:
    return {"kind": type(reason).__name__, **encode(reason)}


def decode_refusal(body: object) -> Refusal:
    """Read a reason. One that this version does not know becomes `QuestionFailed`."""
    if isinstance(body, dict):
        fields = dict(body)
        kind = _KINDS.get(fields.pop("kind", ""))
        try:
            if kind is not None:
                return decode(kind, fields)
        except MessageMalformed:
            pass
        if isinstance(body.get("error"), str):
            return QuestionFailed(body["error"])
    return QuestionFailed(json.dumps(body))
