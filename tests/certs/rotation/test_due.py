"""When a credential is due, and why."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from certs.issuing.issuer import RenewalWindow
from certs.rotation.due import Current, Due, RenewalReason, Wanted, due
from tests.certs.authority import DAY, NOW

WANTED = Wanted(("chat.test",), "ec-p256@file", "internal")
CURRENT = Current(NOW, NOW + 9 * DAY, ("chat.test",), "ec-p256@file", "internal", NOW, jitter=0.0)
THIRD = 1 / 3


def at(wanted: Wanted = WANTED, **changes: Any) -> Due:
    return due(replace(CURRENT, **changes), wanted, THIRD, NOW)


def close(found: Due, expected: Due) -> bool:
    return found.reason is expected.reason and abs(found.at - expected.at) < timedelta(seconds=1)


def test_it_is_due_when_its_share_is_left() -> None:
    assert close(at(), Due(NOW + 6 * DAY, RenewalReason.LIFETIME))


@pytest.mark.parametrize(("jitter", "days"), [(-1.0, 6.3), (1.0, 5.7)])
def test_jitter_is_a_tenth_of_what_is_left(jitter: float, days: float) -> None:
    assert close(at(jitter=jitter), Due(NOW + days * DAY, RenewalReason.LIFETIME))


@pytest.mark.parametrize(("jitter", "days"), [(-1.0, 2), (0.0, 3), (1.0, 4)])
def test_a_window_is_obeyed_at_a_moment_of_its_own(jitter: float, days: float) -> None:
    window = RenewalWindow(NOW + 2 * DAY, NOW + 4 * DAY)
    assert close(at(jitter=jitter, window=window), Due(NOW + days * DAY, RenewalReason.WINDOW))


def test_a_window_behind_the_end_is_not_waited_for() -> None:
    window = RenewalWindow(NOW + 20 * DAY, NOW + 21 * DAY)
    assert close(at(window=window), Due(NOW + 8.1 * DAY, RenewalReason.LIFETIME))


def test_a_window_in_the_past_is_due_now() -> None:
    assert at(window=RenewalWindow(NOW - 2 * DAY, NOW - DAY)).at < NOW


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"names": ("chat.test", "more.test")}, RenewalReason.NAMES),
        ({"key": "ec-p384@file"}, RenewalReason.KEY),
        ({"issuer": "other"}, RenewalReason.ISSUER),
        ({"is_weak": True}, RenewalReason.WEAK),
        ({"not_before": NOW + DAY / 24}, RenewalReason.UNUSABLE),
    ],
)
def test_what_is_not_as_configured_is_due_now(changes: dict[str, Any], reason: RenewalReason) -> None:
    assert at(**changes) == Due(NOW, reason)


def test_the_order_of_names_is_none() -> None:
    both = ("a.test", "b.test")
    assert at(replace(WANTED, names=both[::-1]), names=both).reason is RenewalReason.LIFETIME


def test_a_key_may_become_so_old() -> None:
    assert close(at(replace(WANTED, key_life=2 * DAY)), Due(NOW + 2 * DAY, RenewalReason.KEY_AGE))
    assert at(replace(WANTED, key_life=90 * DAY)).reason is RenewalReason.LIFETIME


def test_a_key_may_sign_so_often() -> None:
    wanted = replace(WANTED, key_uses=1_000)
    assert at(wanted, uses=999).reason is RenewalReason.LIFETIME
    assert at(wanted, uses=1_000) == Due(NOW, RenewalReason.USES)


def test_only_a_key_that_others_know_has_no_grace() -> None:
    known = [RenewalReason.COMPROMISED, RenewalReason.EXPELLED]
    assert [one for one in RenewalReason if one.needs_a_new_key_at_once] == known
