"""What a worker may use of the machine."""

from pathlib import Path

import pytest

from config.loading.loader import load
from config.schema import Config
from proxy.building.carried import Carried
from proxy.building.foundation import Foundation
from proxy.building.resources import UpstreamBudget, note_descriptor_shortage, resource_limits
from proxy.limits.scarcity import ResourceLimits
from tests.configurations import Site

GIBIBYTE = 1_073_741_824


def of(site: Site, extra: str) -> Config:
    """A configuration with four workers and a server with so many connections as `extra` says."""
    return load(site.write(f"workers = 4\n{site.minimal}{extra}")).config


def test_workers_share_half_of_the_memory(tmp_path: Path) -> None:
    config = of(Site.make(tmp_path), "")
    assert resource_limits(config, 8 * GIBIBYTE, None) == ResourceLimits(272, GIBIBYTE)


def test_what_is_configured_counts_for_each_worker(tmp_path: Path) -> None:
    limits = "[limits]\nmemory_bytes = 2_147_483_648\ndescriptor_reserve = 300\n"
    assert resource_limits(of(Site.make(tmp_path), limits), GIBIBYTE, 1_000_000) == ResourceLimits(300, 2 * GIBIBYTE)


def test_the_reserve_is_never_less_than_the_connections_to_servers(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    several = '[upstream.more]\nservers = ["http://127.0.0.1:2", "http://127.0.0.1:3"]\nconnections = 500\n'
    assert resource_limits(of(site, several), GIBIBYTE, 20_000).descriptor_reserve == 256 + 2 * 500 + 16


@pytest.mark.parametrize(
    ("descriptors", "most", "to_each"),
    [(None, 456, (256, 100)), (2_000, 456, (256, 100)), (1_024, 240, (134, 52)), (256, 48, (26, 10)), (64, 8, (4, 1))],
)
def test_servers_share_a_quarter_of_the_descriptors(
    tmp_path: Path, descriptors: int | None, most: int, to_each: tuple[int, int]
) -> None:
    several = '[upstream.more]\nservers = ["http://127.0.0.1:2", "http://127.0.0.1:3"]\nconnections = 100\n'
    servers = UpstreamBudget.of(of(Site.make(tmp_path), several), descriptors)
    assert (servers.wanted, servers.most) == (456, most)
    assert (servers.to_each(256), servers.to_each(100)) == to_each


def shortage(site: Site, extra: str, descriptors: int | None) -> list[str]:
    """What is said about so many descriptors."""
    loaded = load(site.write(f"workers = 2\n{site.minimal}{extra}"))
    foundation = Foundation.of(loaded, Carried())
    note_descriptor_shortage(foundation, descriptors)
    assert not any(problem.is_error for problem in foundation.problems)
    return [f"{problem.key}: {problem.found}" for problem in foundation.problems]


@pytest.mark.parametrize(("descriptors", "is_enough"), [(64, False), (9_999, False), (10_000, True), (None, True)])
def test_fewer_descriptors_than_connections_are_worth_a_warning(
    tmp_path: Path, descriptors: int | None, *, is_enough: bool
) -> None:
    said = shortage(Site.make(tmp_path), "", descriptors)
    sentence = f"limits.connections: 20000, while each of 2 workers may have {descriptors} file descriptors"
    assert said[-1:] == ([] if is_enough else [sentence])
    fewer = [f"upstream.chat.connections: 256, while each worker may have {descriptors} file descriptors"]
    assert said[:-1] == (fewer if descriptors == 64 else [])


def test_a_listener_of_its_own_limits_is_named(tmp_path: Path) -> None:
    own = "[listener.public.limits]\nconnections = 30_000\n"
    (said,) = shortage(Site.make(tmp_path), own, 12_000)
    assert said.startswith("listener.public.limits.connections: 30000, ")
