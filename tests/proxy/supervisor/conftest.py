"""Certificates that the workers of these tests serve with, and a token that their parent tries."""

import pytest

from tests.configurations import Site
from tests.tried_tokens import control, plexi, use

__all__ = ["control", "plexi", "site", "use"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    directory = tmp_path_factory.mktemp("site")
    return Site.make(directory)
