"""Every message comes back from the wire as it was; a misspelt one is refused by name."""

import json
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings

from proxy.processes.messages import news, questions
from proxy.processes.messages.answers import Done, WorkerFigures
from proxy.processes.messages.codec import MessageMalformed, encode
from proxy.processes.messages.news import KeysMissing, WorkerNews
from proxy.processes.messages.questions import Accept, ParentQuestion, Ping, Question, TellFigures, TokenLookedAt
from proxy.processes.messages.wire import answer_type, decode_answer, decode_news, decode_question, encode_question
from tests.messages import any_of

QUESTIONS: tuple[Any, ...] = get_args(ParentQuestion)
NEWS: tuple[Any, ...] = get_args(WorkerNews)


def sent(value: object) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("kind", QUESTIONS)
def test_every_question_and_its_answer_come_back(kind: Any) -> None:
    @settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(any_of(kind), any_of(answer_type(kind)))
    def comes_back(question: ParentQuestion, answer: Any) -> None:
        assert decode_question(*sent(encode_question(question))) == question
        assert decode_answer(question, sent(encode(answer))) == answer

    comes_back()


@pytest.mark.parametrize("kind", NEWS)
def test_all_news_come_back(kind: Any) -> None:
    @settings(max_examples=20, deadline=None)
    @given(any_of(kind))
    def comes_back(one: WorkerNews) -> None:
        assert decode_news(*sent(encode_question(one))) == one
        assert decode_answer(one, {}) == Done()

    comes_back()


def test_no_question_is_missing_from_the_unions() -> None:
    defined = {
        one
        for module in (questions, news)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Question) and one is not Question
    }
    assert defined == {*QUESTIONS, *NEWS}


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("Pin", {}, "message Pin: found an unknown message; allowed: Begin, Prepare, Abort"),
        ("KeysMissing", {}, "message KeysMissing: found an unknown message; allowed: Begin"),
        ("Ping", {"pong": 1}, "message Ping.pong: found this field; allowed: no field"),
        ("TokenLookedAt", {"token": "plexi"}, "message TokenLookedAt.ok: found nothing; allowed: this field"),
        (
            "TokenLookedAt",
            {"token": "plexi", "ok": True, "silent_slots": [], "okay": True},
            "message TokenLookedAt.okay: found this field; allowed: token, ok, silent_slots",
        ),
        ("Accept", {"listeners": {"a": ["1"]}, "new": []}, "message Accept.listeners.a.0: found text"),
        ("Drain", {"seconds": "5", "gently": True}, "message Drain.seconds: found text; allowed: a number"),
    ],
)
def test_misspelt_question_is_refused_by_the_name_of_its_field(kind: str, body: object, told: str) -> None:
    with pytest.raises(MessageMalformed) as caught:
        decode_question(kind, body)
    assert str(caught.value).startswith(told)


def test_worker_may_not_ask_what_the_parent_asks() -> None:
    with pytest.raises(MessageMalformed, match="found an unknown message; allowed: RetirementAsked, BreakerChanged"):
        decode_news(*encode_question(Ping()))


def test_answer_is_read_by_the_type_that_the_question_names() -> None:
    assert answer_type(TellFigures) is WorkerFigures
    assert answer_type(Accept) is Done
    with pytest.raises(MessageMalformed, match=r"message WorkerFigures\.snapshot: found nothing"):
        decode_answer(TellFigures(), {"generation": 1, "servers": []})


def test_messages_stand_under_the_names_of_their_classes() -> None:
    looked = {"token": "plexi", "ok": True, "silent_slots": [5]}
    assert encode_question(TokenLookedAt("plexi", ok=True, silent_slots=(5,))) == ("TokenLookedAt", looked)
    assert encode_question(KeysMissing("plexi", ("a",))) == ("KeysMissing", {"token": "plexi", "missing": ["a"]})
