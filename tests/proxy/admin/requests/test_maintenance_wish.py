"""What an operator asks for a route, as both sides of the admin socket know it."""

from proxy.admin.requests.maintenance_wish import PAGE_BYTES, MaintenanceWish
from proxy.routes.error_pages import MOST_BYTES


def test_page_that_is_too_long_can_be_seen_to_be() -> None:
    assert PAGE_BYTES > MOST_BYTES


def test_wishes_compare_by_what_they_say() -> None:
    wish = MaintenanceWish("a/", "5", "::1", b"{}", page_is_html=False)
    assert wish == MaintenanceWish("a/", "5", "::1", b"{}", page_is_html=False)
    assert wish != MaintenanceWish("a/", "5", "::1", b"{}", page_is_html=True)
