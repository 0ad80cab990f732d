"""The events of this subject have the JSON that they always had, and their sentences."""

import json

import pytest

from proxy.observe.events import clients
from proxy.observe.events.clients import milliseconds, offered_groups
from tests.example_events import Example, examples_of


@pytest.mark.parametrize("example", examples_of(clients), ids=lambda one: one.facts["event"])
def test_event_has_its_json_and_its_sentence(example: Example) -> None:
    assert json.loads(json.dumps(example.event.as_json())) == example.facts
    assert list(example.event.as_json()) == list(example.facts)
    assert example.event.sentence() == example.sentence


def test_groups_are_named_where_they_are_known_and_few_are_shown() -> None:
    assert offered_groups((0x11EC, 0x6399), {0x11EC: "X25519MLKEM768"}) == ["X25519MLKEM768", "0x6399"]
    assert len(offered_groups(range(30_000), {})) == 32


def test_durations_have_microseconds() -> None:
    assert milliseconds(0.0020999) == 2.1
