"""The catalogue of alerts is complete, and can be read at night."""

import pytest

from proxy.observe.alert_kinds import KINDS, AlertKind, AlertUrgency


def test_each_kind_is_explained() -> None:
    assert list(KINDS) == list(AlertKind)


@pytest.mark.parametrize("kind", AlertKind)
def test_a_kind_has_sentences(kind: AlertKind) -> None:
    facts = KINDS[kind]
    assert facts.meaning.endswith(".")
    assert facts.remedy.endswith(".")
    assert facts.subject
    assert 0 <= facts.after_seconds <= 60


def test_urgencies_have_an_order() -> None:
    assert [one.rank for one in AlertUrgency] == [0, 1, 2]
    assert AlertUrgency.CRITICAL.exceeds(AlertUrgency.WARNING)
    assert not AlertUrgency.SERIOUS.exceeds(AlertUrgency.SERIOUS)
