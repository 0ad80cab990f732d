"""How messages stand in frames of the channel: the name of their class, and their fields. Pure."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args

from proxy.processes.messages.codec import Body, MessageMalformed, decode, encode
from proxy.processes.messages.news import WorkerNews
from proxy.processes.messages.questions import ParentQuestion, Question

AnswerT = TypeVar("AnswerT")

_PARENT_QUESTIONS: Final[Mapping[str, type[ParentQuestion]]] = {one.__name__: one for one in get_args(ParentQuestion)}
_NEWS: Final[Mapping[str, type[WorkerNews]]] = {one.__name__: one for one in get_args(WorkerNews)}


def answer_type(question: type[Question[AnswerT]]) -> type[AnswerT]:
    ((answer,),) = (get_args(base) for base in question.__orig_bases__)  # type: ignore[attr-defined]
    found: type[AnswerT] = answer
    return found


def encode_question(question: Question[Any]) -> tuple[str, Body]:
    return type(question).__name__, encode(question)


def decode_question(kind: str, body: object) -> ParentQuestion:
    """What the parent asks. Raises `MessageMalformed`."""
    return decode(_known(_PARENT_QUESTIONS, kind), body)


def decode_news(kind: str, body: object) -> WorkerNews:
    """What a worker tells. Raises `MessageMalformed`."""
    return decode(_known(_NEWS, kind), body)


def decode_answer(question: Question[AnswerT], body: object) -> AnswerT:
    """The answer to a question. Raises `MessageMalformed`."""
    return decode(answer_type(type(question)), body)


KindT = TypeVar("KindT")


def _known(kinds: Mapping[str, type[KindT]], kind: str) -> type[KindT]:
    if kind not in kinds:
        raise MessageMalformed(kind, "", "an unknown message", ", ".join(kinds))
    return kinds[kind]
