"""The events of this subject have their JSON and their sentences."""

import json

import pytest

from proxy.observe.events import upgrades
from tests.example_events import Example, examples_of


@pytest.mark.parametrize("example", examples_of(upgrades), ids=lambda one: one.facts["event"])
def test_event_has_its_json_and_its_sentence(example: Example) -> None:
    assert json.loads(json.dumps(example.event.as_json())) == example.facts
    assert list(example.event.as_json()) == list(example.facts)
    assert example.event.sentence() == example.sentence
