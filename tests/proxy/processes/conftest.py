"""Certificates that the processes of these tests serve with."""

import pytest

from tests.configurations import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    directory = tmp_path_factory.mktemp("site")
    return Site.make(directory)
