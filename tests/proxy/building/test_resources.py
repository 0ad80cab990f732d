"""What a worker may use of the machine."""

from pathlib import Path

import pytest

from config.loader import load
from config.schema import LimitsConfig
from proxy.building.carried import Carried
from proxy.building.foundation import Foundation
from proxy.building.resources import note_descriptor_shortage, resource_limits
from proxy.limits.scarcity import ResourceLimits
from tests.configurations import Site

GIBIBYTE = 1_073_741_824


def test_workers_share_half_of_the_memory() -> None:
    assert resource_limits(LimitsConfig(), 8 * GIBIBYTE, 4) == ResourceLimits(256, GIBIBYTE)


def test_what_is_configured_counts_for_each_worker() -> None:
    limits = LimitsConfig(memory_bytes=2 * GIBIBYTE, descriptor_reserve=7)
    assert resource_limits(limits, 8 * GIBIBYTE, 4) == ResourceLimits(7, 2 * GIBIBYTE)


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
    assert said == ([] if is_enough else [sentence])


def test_a_listener_of_its_own_limits_is_named(tmp_path: Path) -> None:
    own = "[listener.public.limits]\nconnections = 30_000\n"
    (said,) = shortage(Site.make(tmp_path), own, 12_000)
    assert said.startswith("listener.public.limits.connections: 30000, ")
