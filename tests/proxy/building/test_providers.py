"""A provider that is missing is said with the reason, and so are groups that cannot be used."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from config.loading.loader import load
from config.values.problems import Problem
from proxy.building.providers import provider_problems
from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.capabilities import survey as survey_openssl
from proxy.tls.openssl.libssl import modules_directory
from tests.configurations import Site
from tests.listing_provider import NAME, build_listing_provider


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def capabilities() -> Capabilities:
    return survey_openssl(())


def problem(site: Site, capabilities: Capabilities, text: str) -> Problem:
    """The only one there is."""
    (found,) = provider_problems(
        (given := load(site.write(text + site.minimal))).file, given.config.hsm, given.config.openssl, capabilities
    )
    return found


def missing(site: Site, capabilities: Capabilities, module_path: Path | None) -> Problem:
    """What is said of a provider that was not loaded."""
    place = "" if module_path is None else f'module_path = "{module_path}"\n'
    text = f'[openssl]\nproviders = ["{NAME}"]\n{place}'
    return problem(site, replace(capabilities, missing_providers=(NAME,)), text)


def test_nothing_is_wrong_where_nothing_is_asked_for(site: Site, capabilities: Capabilities) -> None:
    assert (
        list(
            provider_problems(
                (given := load(site.write(site.minimal))).file, given.config.hsm, given.config.openssl, capabilities
            )
        )
        == []
    )


def test_module_that_is_not_there_is_named_with_its_place(site: Site, capabilities: Capabilities) -> None:
    found = missing(site, capabilities, None)
    assert (found.key, found.is_error) == ("openssl.providers[0]", True)
    assert found.found == f'"{NAME}", which OpenSSL cannot load: there is no {modules_directory()}/{NAME}.so'
    assert "openssl.module_path" in found.allowed
    (site.directory / "modules").mkdir()
    assert str(site.directory / "modules") in missing(site, capabilities, Path("modules")).found


def test_module_whose_library_is_missing_is_said_so(site: Site, capabilities: Capabilities, tmp_path: Path) -> None:
    subprocess.run(["gcc", "-shared", "-o", str(tmp_path / "libgone.so"), "-x", "c", "/dev/null"], check=True)
    build_listing_provider(tmp_path, "-Wl,--no-as-needed", f"-L{tmp_path}", "-lgone")
    (tmp_path / "libgone.so").unlink()
    found = missing(site, capabilities, tmp_path)
    assert "libgone.so: cannot open shared object file" in found.found
    assert "CMAKE_INSTALL_RPATH" in found.allowed


def test_module_that_loads_is_blamed_itself(site: Site, capabilities: Capabilities, tmp_path: Path) -> None:
    build_listing_provider(tmp_path)
    assert missing(site, capabilities, tmp_path).found.endswith("OpenSSL does not take")


def test_groups_that_no_client_can_be_offered_are_named(site: Site, capabilities: Capabilities) -> None:
    found = problem(site, replace(capabilities, unusable_groups=("bikel1", "p256_bikel1")), "")
    assert (found.key, found.is_error) == ("openssl.providers", False)
    assert found.found.endswith(": bikel1, p256_bikel1")
