"""What the tests with the demo share."""

from collections.abc import Iterator

import pytest

from tests.browser.demo import Demo, Site, make_site, running_demo
from tests.browser.devtools import trust


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A token, a certificate, and a HOME whose Chromium trusts it."""
    site = make_site(tmp_path_factory.mktemp("demo"))
    trust(site.home, site.ca)
    return site


@pytest.fixture
def demo(site: Site) -> Iterator[Demo]:
    """Ended after the test."""
    with running_demo(site) as demo:
        yield demo
