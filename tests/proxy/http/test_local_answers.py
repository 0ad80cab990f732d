"""What the proxy answers itself, as far as it is HTTP."""

import pytest

from proxy.http.local_answers import WrongMethod, has_content, reason_phrase


@pytest.mark.parametrize(("status", "phrase"), [(200, b"OK"), (308, b"Permanent Redirect"), (599, b""), (299, b"")])
def test_a_known_status_has_a_phrase(status: int, phrase: bytes) -> None:
    assert reason_phrase(status) == phrase


@pytest.mark.parametrize(("status", "has"), [(200, True), (204, False), (205, True), (304, False), (404, True)])
def test_some_statuses_have_no_content(status: int, has: object) -> None:
    assert has_content(status) is has


def test_a_wrong_method_knows_the_right_ones() -> None:
    assert WrongMethod(b"GET").allowed == b"GET"
