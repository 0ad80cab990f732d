"""Why a question is refused: each reason comes back, and one of another version is still a sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.values.problems import Problem
from proxy.processes.messages.refusals import (
    ConfigurationRefused,
    OtherVersion,
    QuestionFailed,
    QuestionRefused,
    Refusal,
    decode_refusal,
    encode_refusal,
)
from tests.messages import any_of


@given(st.one_of(any_of(QuestionFailed), any_of(ConfigurationRefused), any_of(OtherVersion)))
def test_every_reason_comes_back(reason: Refusal) -> None:
    assert decode_refusal(json.loads(json.dumps(encode_refusal(reason)))) == reason


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"kind": "QuestionFailed", "error": "no room"}, "no room"),
        ({"error": "no room"}, "no room"),
        ({"kind": "OfTomorrow", "error": "no room", "since": 3}, "no room"),
        ({"kind": "QuestionFailed", "error": "no room", "since": 3}, "no room"),
        ({"kind": "ConfigurationRefused", "problems": 3}, '{"kind": "ConfigurationRefused", "problems": 3}'),
        ([1], "[1]"),
    ],
)
def test_what_this_version_does_not_know_is_told_as_it_came(body: object, sentence: str) -> None:
    assert decode_refusal(body) == QuestionFailed(sentence)


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (QuestionFailed("no room"), "no room"),
        (
            ConfigurationRefused((Problem("a.toml", "user", "x", "y"), Problem("a.toml", "", "v", "w"))),
            "a.toml: user: found x; allowed: y; a.toml: found v; allowed: w",
        ),
        (
            OtherVersion("1-b", "1-a"),
            "the new worker speaks version 1-b of the messages, this process version 1-a: the files of Plexigate "
            "were replaced while it runs; restart it (systemctl restart plexigate)",
        ),
        (
            OtherVersion("1-b", ""),
            "the new worker speaks version 1-b of the messages, this process version none: the files of Plexigate "
            "were replaced while it runs; restart it (systemctl restart plexigate)",
        ),
    ],
)
def test_each_reason_is_a_sentence(reason: Refusal, sentence: str) -> None:
    assert str(QuestionRefused(reason)) == sentence


def test_refusal_of_another_version_is_the_same_for_ever() -> None:
    assert encode_refusal(OtherVersion("1-b", "1-a")) == {
        "kind": "OtherVersion",
        "ours": "1-b",
        "theirs": "1-a",
        "error": "worker and parent are of different versions of Plexigate: restart it",
    }
