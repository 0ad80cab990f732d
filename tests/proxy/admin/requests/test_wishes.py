"""How a person wants a rotation."""

import pytest

from certs.rotation.due import RenewalReason
from proxy.admin.requests.wishes import PAGE_BYTES, MaintenanceWish, RotationWish
from proxy.routes.error_pages import MOST_BYTES


@pytest.mark.parametrize(
    "wish",
    [RotationWish(), RotationWish(is_compromised=True), RotationWish(insists=True), RotationWish(is_dry_run=True)],
)
def test_a_wish_arrives_as_it_was_made(wish: RotationWish) -> None:
    assert RotationWish.of_query(wish.query()) == wish


def test_nothing_else_is_a_wish() -> None:
    assert RotationWish.of_query({"now": "yes", "dry_run": "0"}) == RotationWish()


def test_its_reason() -> None:
    assert RotationWish().reason is RenewalReason.COMMAND
    assert RotationWish(is_compromised=True).reason is RenewalReason.COMPROMISED


def test_page_that_is_too_long_can_be_seen_to_be() -> None:
    assert PAGE_BYTES > MOST_BYTES


def test_wishes_compare_by_what_they_say() -> None:
    wish = MaintenanceWish("a/", "5", "::1", b"{}", page_is_html=False)
    assert wish == MaintenanceWish("a/", "5", "::1", b"{}", page_is_html=False)
    assert wish != MaintenanceWish("a/", "5", "::1", b"{}", page_is_html=True)
